// What a command sees of the world: streams, environment, signals. Passed in, so that a test can be
// the terminal. Knows colours, and nothing of what is printed.

import { type EventEmitter, once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { styleText } from 'node:util'

export interface Terminal {
  readonly stdin: Readable & { readonly isTTY?: boolean }
  readonly stdout: Writable & { readonly isTTY?: boolean }
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number }
  readonly env: Readonly<Record<string, string | undefined>>
  /** Emits SIGINT, SIGTERM and SIGHUP. */
  readonly signals: Pick<EventEmitter, 'on' | 'off'>
  /** How this program was called, e.g. `node dist/main.js`: for commands to copy. */
  readonly self: string
  /** Ends the process at once. */
  exit(status: number): void
}

export type Style = (
  format: 'bold' | 'cyan' | 'dim' | 'green' | 'red' | 'yellow',
  text: string,
) => string

/** Writes, and waits where the reader is slower than we are. */
export async function print(stream: Writable, text: string): Promise<void> {
  if (!stream.write(text)) await once(stream, 'drain')
}

/** Colours for a person at a terminal; plain text for a file, a pipe, and whoever set NO_COLOR. */
export function styleFor(
  stream: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): Style {
  const plain = stream.isTTY !== true || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb'
  return plain ? (_, text) => text : (format, text) => styleText(format, text, unconditionally)
}

// Newer Node versions look at process.stdout of their own accord otherwise.
const unconditionally = { validateStream: false }

/**
 * Text of strangers (SQL, application names) for a terminal: control characters could make it act,
 * invisible ones show another text than the one that ran. They come out as escapes, line breaks as
 * spaces.
 */
export function printable(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/[\p{Cc}\p{Cf}]/gu, escaped)
}

function escaped(character: string): string {
  return `\\u{${character.codePointAt(0)?.toString(16) ?? ''}}`
}

/** One word of a shell command. */
export function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
