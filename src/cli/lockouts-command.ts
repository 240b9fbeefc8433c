// `pgwarden lockouts list` and `lift`: who is not let in for having failed too often, by operators, beside the
// proxies. Ignorant of what counts as too often.

import type { Command } from 'commander'
import type { LockOut } from '../access/login-guard.ts'
import { type Context, examples } from './program.ts'
import { type Column, table } from './table.ts'
import { print, printable, styleFor } from './terminal.ts'
import { instantText } from './wording.ts'

interface ListOptions {
  readonly config: string
  readonly json?: boolean
}

const configOption = ['--config <file>', 'the configuration that the proxy runs on'] as const

export function addLockOuts(program: Command, context: Context): void {
  const { operations, terminal, runs } = context
  const lockOuts = program.command('lockouts').description('Who is locked out after failed logins.')

  const list = lockOuts
    .command('list')
    .description('Show the lock-outs that hold now, each of a name from an address.')
    .requiredOption(...configOption)
    .option('--json', 'a JSON object a line')
    .action(
      runs(async ({ config, json }: ListOptions) => {
        const found = await (await operations()).listLockOuts({ configFile: config })
        if (found.length === 0) terminal.stderr.write('Nobody is locked out.\n')
        else if (json === true) {
          const lines = found.map((each) => `${JSON.stringify(lockOutJson(each))}\n`)
          await print(terminal.stdout, lines.join(''))
        } else {
          await print(
            terminal.stdout,
            table(found, columns, styleFor(terminal.stdout, terminal.env)),
          )
        }
        return 0
      }),
    )
  examples(list, 'pgwarden lockouts list --config pgwarden.yaml')

  const lift = lockOuts
    .command('lift')
    .description('Let them try again at once.')
    .argument('<lock-out>', 'its id, as lockouts list shows it')
    .requiredOption(...configOption)
    .action(
      runs(async (id: string, { config }: { readonly config: string }) => {
        await (await operations()).liftLockOut({ configFile: config, id })
        await print(terminal.stdout, `Lock-out ${printable(id)} is lifted.\n`)
        return 0
      }),
    )
  examples(lift, 'pgwarden lockouts lift --config pgwarden.yaml 7h2k4m6n5p3q2r4t')
}

const columns: readonly Column<LockOut>[] = [
  { heading: 'LOCK-OUT', text: ({ id }) => id },
  { heading: 'WHO', text: ({ principal }) => principal },
  { heading: 'FROM', text: ({ address }) => address },
  { heading: 'FAILURES', text: ({ failures }) => String(failures) },
  { heading: 'UNTIL', text: ({ until }) => instantText(new Date(until).toISOString()) },
]

/** As the API shows it. */
function lockOutJson({ until, ...rest }: LockOut): object {
  return { ...rest, until: new Date(until).toISOString() }
}
