// The command line as a function: arguments and a terminal in, exit status out. Says in plain words
// what went wrong. Statuses: exit-status.ts.

import { Command, CommanderError } from 'commander'
import { ApiFailure } from '../client/failure.ts'
import { Failure } from '../errors.ts'
import { packageVersion } from '../version.ts'
import { addAudit } from './audit-command.ts'
import { addConnect } from './connect-command.ts'
import { addDemo } from './demo-command.ts'
import { addDoctor } from './doctor-command.ts'
import { exitStatus, statusOf } from './exit-status.ts'
import { addGrant } from './grant-command.ts'
import { addGrants } from './grants-command.ts'
import { addKey } from './key-command.ts'
import { addLockOuts } from './lockouts-command.ts'
import { addLogin } from './login-command.ts'
import type { Operations } from './operations.ts'
import type { Outside } from './outside.ts'
import { addPolicy } from './policy-command.ts'
import { type Context, examples } from './program.ts'
import { addPsql } from './psql-command.ts'
import { addReload } from './reload-command.ts'
import { addRequest } from './request-command.ts'
import { addRequests } from './requests-command.ts'
import { addServe } from './serve-command.ts'
import { addSessions } from './sessions-command.ts'
import { addTargets } from './targets-command.ts'
import { printable, styleFor, type Terminal } from './terminal.ts'
import { addToken } from './token-command.ts'

/** `argv` is process.argv. Never rejects. */
export async function run(
  argv: readonly string[],
  operations: () => Promise<Operations>,
  outside: Outside,
  terminal: Terminal,
): Promise<number> {
  let status = 0
  const program = buildProgram({
    operations,
    outside,
    terminal,
    report: (error) => report(error, terminal, debugging()),
    runs:
      (action) =>
      async (...args) => {
        status = await action(...args)
      },
  })
  const debugging = () =>
    program.opts<{ debug?: boolean }>().debug === true || terminal.env['PGWARDEN_DEBUG'] === '1'
  // Whoever reads us through a pipe may stop reading (| head): that is no failure. The listener stays, since
  // we hear of it after the last line was written, too.
  terminal.stdout.on('error', (error) => terminal.exit(isBrokenPipe(error) ? 0 : 1))
  try {
    await program.parseAsync([...argv])
    return status
  } catch (error) {
    // Commander has printed its sentence, or the help that was asked for.
    if (error instanceof CommanderError)
      return error.exitCode === 0 ? exitStatus.done : exitStatus.misused
    report(error, terminal, debugging())
    return statusOf(error)
  }
}

function buildProgram(context: Context): Command {
  const { terminal } = context
  const program = new Command('pgwarden')
    .description('An access proxy for PostgreSQL: tokens, statement policy, audit.')
    .version(packageVersion())
    .option('--debug', 'show where an unexpected error came from')
    .exitOverride()
    // Options belong to the command that they stand behind: `token` and `token issue` both know --kind.
    .enablePositionalOptions()
    .showHelpAfterError('What to do: add --help to see how it is used.')
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
  examples(
    program,
    'pgwarden demo',
    'pgwarden login https://pgwarden.example.com',
    'pgwarden psql shop --role read_only --for 2h --reason "wrong total in order 1234"',
  ).addHelpText('after', statuses)
  for (const [heading, commands] of groups) {
    program.commandsGroup(heading)
    for (const add of commands) add(program, context)
  }
  return program
}

const statuses = `
Exit status: 0 done; 1 it failed or was denied; 2 the command was wrong; 3 not logged in;
4 still pending, or not decided in time; 5 somebody else was first. psql's own for \`psql\`.
`

const groups: readonly (readonly [string, readonly ((to: Command, context: Context) => void)[]])[] =
  [
    ['Access:', [addPsql, addConnect, addLogin, addTargets, addRequest, addRequests]],
    ['What was given:', [addGrants, addToken, addSessions]],
    [
      'For operators:',
      [addDemo, addServe, addReload, addDoctor, addGrant, addKey, addLockOuts, addPolicy, addAudit],
    ],
  ]

function report(error: unknown, { stderr, env }: Terminal, debug: boolean): void {
  const style = styleFor(stderr, env)
  const lines: string[] = []
  if (error instanceof Failure || error instanceof ApiFailure) {
    // A server's sentences can hold what strangers wrote; ours are laid out.
    const shown = error instanceof ApiFailure ? printable : (text: string) => text
    lines.push(`${style('red', 'pgwarden:')} ${shown(error.message)}`)
    if (error.detail !== undefined) {
      lines.push(...error.detail.split('\n').map((line) => indent(shown(line))))
    }
    if (error.hint !== undefined) lines.push(`${style('bold', 'What to do:')} ${shown(error.hint)}`)
  } else {
    lines.push(
      `${style('red', 'pgwarden:')} unexpected error: ${messageOf(error)}`,
      'This is a defect in pgwarden. Please report it with what you did to meet it.',
    )
    if (!debug) lines.push('With --debug before the command it says where it happened.')
  }
  if (debug && error instanceof Error) lines.push(...stacks(error))
  stderr.write(`${lines.join('\n')}\n`)
}

function stacks(error: Error): string[] {
  const own = error.stack ?? String(error)
  return error.cause instanceof Error ? [own, `caused by ${stacks(error.cause).join('\n')}`] : [own]
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function indent(line: string): string {
  return `  ${line}`
}

function isBrokenPipe(error: Error): boolean {
  return 'code' in error && error.code === 'EPIPE'
}
