// What every command is built with: the tools it works with, and its manners towards commander.
// Ignorant of any particular command.

import type { Command } from 'commander'
import type { Operations } from './operations.ts'
import type { Outside } from './outside.ts'
import type { Terminal } from './terminal.ts'

export interface Context {
  /** Loaded when they are needed: who asks a server needs nothing of what makes one. */
  readonly operations: () => Promise<Operations>
  readonly outside: Outside
  readonly terminal: Terminal
  /** Says on stderr what went wrong, for an action that gives a status of its own. */
  readonly report: (error: unknown) => void
  /** Wraps an action: what it resolves to becomes the exit status. */
  readonly runs: <Arguments extends readonly unknown[]>(
    action: (...args: Arguments) => Promise<number>,
  ) => (...args: Arguments) => Promise<void>
}

/** Shown at the end of a command's help. Each line is one to copy. */
export function examples(command: Command, ...lines: readonly string[]): Command {
  return command.addHelpText('after', `\nExamples:\n${lines.map((line) => `  ${line}\n`).join('')}`)
}
