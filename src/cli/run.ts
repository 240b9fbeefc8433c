// The command line as a function: arguments and a terminal in, exit status out. Says in plain words
// what went wrong. Status 0: done; 1: it failed, or something was denied; 2: the command was wrong.

import { Command, CommanderError } from 'commander'
import { Failure } from '../errors.ts'
import { packageVersion } from '../version.ts'
import { addAudit } from './audit-command.ts'
import { addDemo } from './demo-command.ts'
import { addDoctor } from './doctor-command.ts'
import { addGrant } from './grant-command.ts'
import { addKey } from './key-command.ts'
import type { Operations } from './operations.ts'
import { addPolicy } from './policy-command.ts'
import { type Context, examples } from './program.ts'
import { addServe } from './serve-command.ts'
import { styleFor, type Terminal } from './terminal.ts'
import { addToken } from './token-command.ts'

/** `argv` is process.argv. Never rejects. */
export async function run(
  argv: readonly string[],
  operations: Operations,
  terminal: Terminal,
): Promise<number> {
  let status = 0
  const program = buildProgram({
    operations,
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
  // Whoever reads us through a pipe may stop reading (| head): that is no failure.
  const onError = (error: Error) => terminal.exit(isBrokenPipe(error) ? 0 : 1)
  terminal.stdout.on('error', onError)
  try {
    await program.parseAsync([...argv])
    return status
  } catch (error) {
    // Commander has printed its sentence, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    report(error, terminal, debugging())
    return 1
  } finally {
    terminal.stdout.off('error', onError)
  }
}

function buildProgram(context: Context): Command {
  const { terminal } = context
  const program = new Command('pgwarden')
    .description('An access proxy for PostgreSQL: tokens, statement policy, audit.')
    .version(packageVersion())
    .option('--debug', 'show where an unexpected error came from')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
  examples(program, 'pgwarden demo', 'pgwarden serve --config pgwarden.yaml')
  for (const add of [addDemo, addServe, addDoctor, addToken, addGrant, addKey, addPolicy, addAudit])
    add(program, context)
  return program
}

function report(error: unknown, { stderr, env }: Terminal, debug: boolean): void {
  const style = styleFor(stderr, env)
  const lines: string[] = []
  if (error instanceof Failure) {
    lines.push(`${style('red', 'pgwarden:')} ${error.message}`)
    if (error.detail !== undefined) lines.push(...error.detail.split('\n').map(indent))
    if (error.hint !== undefined) lines.push(`${style('bold', 'What to do:')} ${error.hint}`)
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
