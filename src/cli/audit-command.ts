// `pgwarden audit tail`: the journal, read. Ignorant of files.

import type { Command } from 'commander'
import { auditLine } from './audit-line.ts'
import { addVerify } from './audit-verify-command.ts'
import { type Context, examples } from './program.ts'
import { untilSignalled } from './signals.ts'
import { print, styleFor } from './terminal.ts'
import { parseCount } from './values.ts'

interface TailOptions {
  readonly follow?: boolean
  readonly lines: number
  readonly json?: boolean
}

export function addAudit(program: Command, context: Context): void {
  const { operations, terminal, runs } = context
  const audit = program.command('audit').description('The audit journal.')

  addVerify(audit, context)

  const tail = audit
    .command('tail')
    .description('Show the last records: a line each at a terminal, JSON elsewhere.')
    .argument('<directory>', 'the journal')
    .option('-f, --follow', 'go on with what comes, until Ctrl-C')
    .option('-n, --lines <number>', 'how many to begin with', parseCount, 10)
    .option('--json', 'the records as they are stored, at a terminal too')
    .action(
      runs(async (directory: string, { follow, lines, json }: TailOptions) => {
        const { stdout, env } = terminal
        const raw = json === true || stdout.isTTY !== true
        const style = styleFor(stdout, env)
        await untilSignalled(terminal, async (signal) => {
          const options = { follow: follow === true, lines }
          for await (const line of (await operations()).tailJournal(directory, options, signal)) {
            const text = raw ? line : auditLine(line, style)
            await print(stdout, `${text}\n`)
          }
        })
        return 0
      }),
    )
  examples(
    tail,
    'pgwarden audit tail --follow /var/lib/pgwarden/journal',
    `pgwarden audit tail -n 1000 --json /var/lib/pgwarden/journal | jq 'select(.decision == "deny")'`,
  )
}
