// How far a sink has got, chain by chain, in a file that a death in the middle of writing leaves as it was.
// It may be behind the truth, never ahead of it. Ignorant of what is sent.

import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { Position } from '../audit/outbox.ts'

export class Positions {
  readonly #path: string
  readonly #positions = new Map<string, Position>()
  #kept = new Map<string, number>()
  #isKept = true
  /** Why what was kept before cannot be used, when it cannot. */
  readonly note: string | undefined

  private constructor(path: string, text: string | undefined) {
    this.#path = path
    if (text === undefined) return
    const positions = positionsIn(text)
    if (positions === undefined) {
      this.note = `${path} is damaged: everything that the journal holds is sent again`
      return
    }
    this.#positions = new Map(positions)
    this.#kept = this.#sequences()
  }

  /** Of the sink of this name in a journal's directory. */
  static of(directory: string, name: string): Positions {
    const path = join(directory, 'sinks', `${name}.json`)
    return new Positions(path, textOf(path))
  }

  /** The last record of a chain that is on the disk as sent; 0: none. */
  keptUpTo(chain: string): number {
    return this.#kept.get(chain) ?? 0
  }

  get kept(): ReadonlyMap<string, number> {
    return this.#kept
  }

  get(chain: string): Position | undefined {
    return this.#positions.get(chain)
  }

  set(chain: string, position: Position): void {
    this.#positions.set(chain, position)
    this.#isKept = false
  }

  /** What was kept is of another journal, or of what is not there any more: nothing counts as sent. */
  forget(chain: string): void {
    this.#isKept = !this.#positions.delete(chain) && this.#isKept
  }

  /** Writes them when they have changed. @throws what the file system says. */
  keep(): void {
    if (this.#isKept) return
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 })
    const temporary = `${this.#path}.new`
    const file = openSync(temporary, 'w', 0o600)
    try {
      writeFileSync(file, `${JSON.stringify(Object.fromEntries(this.#positions))}\n`)
      // The new name must not be there before what it names.
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, this.#path)
    this.#isKept = true
    this.#kept = this.#sequences()
  }

  #sequences(): Map<string, number> {
    return new Map([...this.#positions].map(([chain, { sequence }]) => [chain, sequence]))
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

function positionsIn(text: string): readonly (readonly [string, Position])[] | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return undefined
    const entries: readonly (readonly [string, unknown])[] = Object.entries(value)
    const sound = entries.flatMap(([chain, position]) =>
      isPosition(position) ? [[chain, position] as const] : [],
    )
    return sound.length === entries.length ? sound : undefined
  } catch {
    return undefined
  }
}

function isPosition(value: unknown): value is Position {
  return (
    typeof value === 'object' &&
    value !== null &&
    'sequence' in value &&
    isNumber(value.sequence) &&
    'segment' in value &&
    isNumber(value.segment) &&
    'offset' in value &&
    isNumber(value.offset) &&
    'event' in value &&
    typeof value.event === 'string' &&
    'hash' in value &&
    typeof value.hash === 'string'
  )
}

function isNumber(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0
}
