// `pgwarden demo`: everything on this machine in one command, and lines to paste. Ignorant of how the
// database comes about.

import type { Command } from 'commander'
import { psqlLine } from '../access/connection-lines.ts'
import type { RunningDemo, Stopping } from './operations.ts'
import { type Context, examples } from './program.ts'
import { untilStopped } from './signals.ts'
import { shellQuote, styleFor, type Terminal } from './terminal.ts'
import { parsePort } from './values.ts'

interface DemoFlags {
  readonly data?: string
  readonly port: number
  readonly httpPort: number
  readonly reset?: boolean
}

export function addDemo(program: Command, context: Context): void {
  const { operations, terminal, runs } = context
  const demo = program
    .command('demo')
    .description(
      'Bring up a sample PostgreSQL behind the proxy, with tokens to try. Ctrl-C ends it.',
    )
    .option('--data <directory>', 'where to keep it all (default: a directory of your own)')
    .option('--port <number>', 'port of the proxy', parsePort, 6432)
    .option('--http-port <number>', 'port of the HTTP interface', parsePort, 8432)
    .option('--reset', 'forget what an earlier demo left and begin anew')
    .action(
      runs(async ({ data, port, httpPort, reset }: DemoFlags) => {
        const style = styleFor(terminal.stdout, terminal.env)
        const work = async (stopping: Stopping) =>
          (await operations()).demo({
            ...(data === undefined ? {} : { directory: data }),
            ...{ port, httpPort, reset: reset === true, env: terminal.env, stopping },
            onStep: (step) => terminal.stdout.write(`${style('dim', `${step} ...`)}\n`),
            onReady: (running) => terminal.stdout.write(welcome(running, terminal)),
          })
        await untilStopped(terminal, work)
        return 0
      }),
    )
  examples(
    demo,
    'pgwarden demo',
    'pgwarden demo --port 7432 --http-port 7480 --data ./demo --reset',
  )
}

function welcome(running: RunningDemo, { stdout, env, self }: Terminal): string {
  const style = styleFor(stdout, env)
  const { directory, configFile, journalDirectory, proxy, http, people } = running
  const sessions = people.flatMap(({ occupation, role, token }) => [
    `  ${style('bold', token.connection.user)}, ${occupation}: ${style('cyan', role)}`,
    `  ${psqlLine(token.connection, token.token)}`,
    '',
  ])
  const keys = people.map(
    ({ occupation, token, key }) =>
      `  export PGWARDEN_API_KEY=${key.reveal()}  # ${token.connection.user}, ${occupation}`,
  )
  const another =
    `${self} token issue --config ${shellQuote(configFile)} --principal alice --target shop` +
    ' --role read_only --for 1h --reason "a second look"'
  return [
    '',
    style('bold', 'pgwarden is running'),
    `  proxy   ${proxy}, in front of the sample database "shop"`,
    `  HTTP    ${http}`,
    `  data    ${directory}`,
    '',
    style('bold', 'Open a session from another terminal'),
    '  Each token is good for one sitting, to be begun within 8 hours.',
    '',
    ...sessions,
    style('bold', 'Ask for access, and give it'),
    '  Who you are is the key that you take; a terminal for each of two people is best.',
    '',
    `  export PGWARDEN_URL=${http}`,
    ...keys,
    '',
    `  ${style('dim', '# alice asks for what needs her manager (read_only would need nobody)')}`,
    `  ${self} request shop --role read_limited_write --for 1h --reason "correct an address"`,
    `  ${style('dim', '# bob looks what waits for his word, and says yes')}`,
    `  ${self} requests --to-decide`,
    `  ${self} approve REQUEST`,
    `  ${style('dim', '# alice works')}`,
    `  ${self} psql shop --role read_limited_write`,
    `  ${style('dim', '# bob takes it back, and her session ends')}`,
    `  ${self} revoke GRANT --reason "that was all"`,
    '',
    style('bold', 'See what was run, and what was refused'),
    `  ${self} audit tail --follow ${shellQuote(journalDirectory)}`,
    '',
    style('bold', 'See the metrics'),
    `  curl ${http}/metrics`,
    '',
    style('bold', 'Get another token'),
    `  ${another}`,
    '',
    'Ctrl-C stops everything.',
    '',
  ].join('\n')
}
