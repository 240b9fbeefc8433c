// What a command is waiting for. At a terminal one line on stderr that is written over; elsewhere a plain
// line for each change, without what only passes time.

import { printable, styleFor, type Terminal } from './terminal.ts'

const clearLine = '\r\u001b[K'
const usualColumns = 80

export class StatusLine {
  readonly #terminal: Terminal
  #said: string | undefined
  #shown = false

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  /** `passing` is what changes all the time, e.g. the time that is left. */
  show(text: string, passing: string): void {
    const { stderr, env } = this.#terminal
    if (stderr.isTTY !== true) {
      if (text !== this.#said) stderr.write(`${printable(text)}\n`)
      this.#said = text
      return
    }
    // A line that wraps could not be cleared; what is cut off is not the time.
    const line = printable(`[${passing}] ${text}`).slice(0, (stderr.columns ?? usualColumns) - 1)
    stderr.write(`${clearLine}${styleFor(stderr, env)('dim', line)}`)
    this.#shown = true
  }

  /** Leaves the terminal as it was. */
  clear(): void {
    if (this.#shown) this.#terminal.stderr.write(clearLine)
    this.#shown = false
  }
}
