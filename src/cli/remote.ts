// What all commands of the control plane share: which server, output for programs, lists as tables.
// Ignorant of what is listed.

import type { Command } from 'commander'
import type { List } from '../client/api.ts'
import { Client } from '../client/client.ts'
import { packageVersion } from '../version.ts'
import type { Context } from './program.ts'
import { type Column, table } from './table.ts'
import { print, styleFor } from './terminal.ts'

export interface RemoteOptions {
  readonly url?: string
  readonly json?: boolean
}

/** Gives a command the options that all of them have. */
export function remote(command: Command): Command {
  return command
    .option('--url <url>', 'the server (default: PGWARDEN_URL, or the one of the last login)')
    .option('--json', 'JSON, for programs; of a list an object a line')
}

export async function openClient(context: Context, url: string | undefined): Promise<Client> {
  const { outside, terminal } = context
  const { fetch, clock, pause } = outside
  return Client.open(url, { env: terminal.env, fetch, clock, pause, version: packageVersion() })
}

/** One object: as JSON, or in the words that `text` finds. */
export async function printOne<T extends object>(
  { terminal }: Context,
  { json }: RemoteOptions,
  value: T,
  text: (value: T) => string,
): Promise<void> {
  await print(terminal.stdout, `${json === true ? JSON.stringify(value) : text(value)}\n`)
}

/** A list: as JSON lines, or as a table; `empty` is a sentence for a person. */
export async function printList<T extends object>(
  { terminal }: Context,
  { json }: RemoteOptions,
  { items, more }: List<T>,
  columns: readonly Column<T>[],
  empty: string,
): Promise<void> {
  const { stdout, stderr, env } = terminal
  if (json === true) {
    for (const item of items) await print(stdout, `${JSON.stringify(item)}\n`)
  } else if (items.length > 0) {
    await print(stdout, table(items, columns, styleFor(stdout, env)))
  } else {
    stderr.write(`${empty}\n`)
  }
  if (more) stderr.write(`These are the newest ${items.length}; there are more (--limit).\n`)
}
