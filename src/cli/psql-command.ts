// `pgwarden psql`: from nothing to a prompt in one command. Logs in, finds or asks for a grant, waits for
// it, gets a token for one sitting, and becomes psql as far as one can see.

import type { Command } from 'commander'
import { exitStatus } from './exit-status.ts'
import { obtain, sameAgain } from './obtaining.ts'
import { type Context, examples } from './program.ts'
import { checkPsqlArguments } from './psql-arguments.ts'
import { psqlEnvironment } from './psql-environment.ts'
import { openClient } from './remote.ts'
import { untilSignalled } from './signals.ts'
import type { Terminal } from './terminal.ts'
import { parseDuration } from './values.ts'

interface PsqlOptions {
  readonly url?: string
  readonly role?: string
  readonly for?: number
  readonly reason?: string
  readonly wait: boolean
  readonly timeout?: number
}

export function addPsql(program: Command, context: Context): void {
  const { outside, terminal, runs } = context
  const { programs } = outside
  const psql = program
    .command('psql')
    .description('Open psql on a database; asks for access first where there is none yet.')
    .argument('<target>', 'which database')
    .argument('[arguments...]', 'for psql, behind "--"')
    .option('--role <name>', 'what it is to allow; needed to ask for access')
    .option(
      '--for <duration>',
      'for how long to ask, e.g. 2h (default: of the server)',
      parseDuration,
    )
    .option('--reason <text>', 'why; needed to ask for access, and stands in the audit')
    .option('--no-wait', 'do not wait for an approval')
    .option('--timeout <duration>', 'wait no longer than that for an approval', parseDuration)
    .option('--url <url>', 'the server (default: PGWARDEN_URL, or the one of the last login)')
    .action(
      runs(async (target: string, words: readonly string[], options: PsqlOptions) => {
        checkPsqlArguments(words)
        // Before anybody approves anything for it.
        if (!(await programs.has('psql', terminal.env))) return notInstalled(terminal, target)
        const client = await openClient(context, options.url)
        const { role, for: forMs, reason, wait, timeout: limitMs } = options
        const again = sameAgain([
          ...['psql', target, ...(role === undefined ? [] : ['--role', role])],
          ...(options.url === undefined ? [] : ['--url', options.url]),
          ...(words.length === 0 ? [] : ['--', ...words]),
        ])
        const wish = { target, role, forMs, reason, wait, limitMs, again }
        const obtained = await untilSignalled(terminal, (signal) =>
          obtain(context, client, wish, signal),
        )
        if (obtained.type === 'none') return obtained.status
        const token = await client.api.issueToken(obtained.grantId, 'one-time')
        const env = psqlEnvironment(terminal.env, token)
        return whileItRuns(terminal, (stop) => programs.run('psql', words, env, stop))
      }),
    )
  examples(
    psql,
    'pgwarden psql shop --role read_only --for 2h --reason "wrong total in order 1234"',
    'pgwarden psql shop -- --csv -c "select count(*) from orders" > orders.csv',
  )
}

/**
 * Ctrl-C is psql's: the terminal sends it to both, and here it cancels a query and must not end us. A wish
 * that only we hear of is passed on.
 */
async function whileItRuns(
  { signals }: Terminal,
  work: (stop: AbortSignal) => Promise<number>,
): Promise<number> {
  const stop = new AbortController()
  const ignore = () => undefined
  const pass = () => stop.abort()
  for (const name of ['SIGINT', 'SIGQUIT']) signals.on(name, ignore)
  for (const name of ['SIGTERM', 'SIGHUP']) signals.on(name, pass)
  try {
    return await work(stop.signal)
  } finally {
    for (const name of ['SIGINT', 'SIGQUIT']) signals.off(name, ignore)
    for (const name of ['SIGTERM', 'SIGHUP']) signals.off(name, pass)
  }
}

function notInstalled({ stderr }: Terminal, target: string): number {
  const lines = [
    'pgwarden: psql is not installed, or not in the PATH',
    'What to do: install it (Debian, Ubuntu: postgresql-client; Fedora: postgresql; macOS: libpq;',
    `or from postgresql.org), or get a line for another client: pgwarden connect ${target} --uri`,
  ]
  stderr.write(`${lines.join('\n')}\n`)
  return exitStatus.failed
}
