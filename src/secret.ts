// A value that must not be seen. However it is printed (template, JSON, inspect, console, pino) it
// reads [redacted]; reveal() is the only way out, and easy to search for.

import { inspect } from 'node:util'

const redacted = '[redacted]'

export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The value itself. Call it where the secret leaves the process, and nowhere else. */
  reveal(): string {
    return this.#value
  }

  /** Whether it is the same value. Not for what a stranger sends: the time it takes may tell. */
  equals(other: unknown): boolean {
    return other instanceof Secret && other.#value === this.#value
  }

  toString(): string {
    return redacted
  }

  toJSON(): string {
    return redacted
  }

  [inspect.custom](): string {
    return redacted
  }
}
