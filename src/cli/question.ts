// Asking the person at the terminal. Only where there is one: a script gets an error instead of a wait.

import { createInterface } from 'node:readline/promises'
import type { Terminal } from './terminal.ts'

export function isInteractive({ stdin, stderr }: Terminal): boolean {
  return stdin.isTTY === true && stderr.isTTY === true
}

/** Resolves to what was typed, without spaces around it; to nothing at the end of input. */
export async function ask(
  { stdin, stderr }: Terminal,
  question: string,
  signal: AbortSignal,
): Promise<string> {
  // Not as a terminal of readline's own: Ctrl-C stays a signal, and what is typed ahead is left to psql.
  const lines = createInterface({ input: stdin, output: stderr, terminal: false })
  const ended = new Promise<string>((resolve) => lines.once('close', () => resolve('')))
  const interrupted = () => lines.close()
  signal.addEventListener('abort', interrupted, { once: true })
  try {
    return (await Promise.race([lines.question(question), ended])).trim()
  } finally {
    signal.removeEventListener('abort', interrupted)
    lines.close()
  }
}
