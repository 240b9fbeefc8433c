// Records as lines of the chain, one behind the other in a buffer that is used again: what one write
// stores. Ignorant of who waits for it and of where it goes.

import { lineHead, seal, sealedLine } from './chain.ts'
import type { Batch, OverflowText, PlacedText, Tip } from './storage.ts'

/** A record that has no place in the chain yet. */
export interface Entry {
  /** The inside of a JSON object, without braces. */
  readonly fields: string
  /** When it was appended. */
  readonly time: string
  readonly overflow: readonly OverflowText[] | undefined
}

const initialBytes = 1024 * 1024
/** A buffer that had to grow beyond this is given back. */
const keptBytes = 8 * 1024 * 1024

export class BatchBuffer implements Batch {
  #bytes = Buffer.allocUnsafeSlow(initialBytes)
  #length = 0
  #first = 0
  // The end of the chain once this is stored.
  #chainId: string
  #sequence: number
  #hash: string
  #overflow: PlacedText[] = []
  #durable = false

  constructor({ chainId, sequence, hash }: Tip) {
    this.#chainId = chainId
    this.#sequence = sequence
    this.#hash = hash
  }

  get bytes(): Buffer {
    return this.#bytes
  }

  get length(): number {
    return this.#length
  }

  get first(): number {
    return this.#first
  }

  get overflow(): readonly PlacedText[] {
    return this.#overflow
  }

  get durable(): boolean {
    return this.#durable
  }

  get records(): number {
    return this.#sequence - this.#first + 1
  }

  /** The end of the chain once this is stored. */
  get tip(): Tip {
    return { chainId: this.#chainId, sequence: this.#sequence, hash: this.#hash }
  }

  /** Empties it: what is added next goes behind `tip`. */
  begin({ chainId, sequence, hash }: Tip, durable: boolean): void {
    if (this.#bytes.length > keptBytes) this.#bytes = Buffer.allocUnsafeSlow(initialBytes)
    if (this.#overflow.length > 0) this.#overflow = []
    this.#length = 0
    this.#first = sequence + 1
    this.#chainId = chainId
    this.#sequence = sequence
    this.#hash = hash
    this.#durable = durable
  }

  add({ fields, time, overflow }: Entry): void {
    this.#sequence += 1
    const sequence = this.#sequence
    const head = lineHead(this.#chainId, sequence, time, fields)
    this.#hash = seal(this.#hash, head)
    if (overflow !== undefined) {
      for (const text of overflow) this.#overflow.push({ ...text, sequence })
    }
    const line = sealedLine(head, this.#hash)
    // UTF-8 needs at most three bytes for each UTF-16 unit.
    this.#reserve(this.#length + line.length * 3)
    this.#length += this.#bytes.write(line, this.#length, 'utf8')
  }

  #reserve(room: number): void {
    if (room <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(room, this.#bytes.length * 2))
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }
}
