// One chain on its way to one sink: where it is read, and what was read and not sent yet. Ignorant of sinks,
// and of when they are tried.

import type { Outbox, Outgoing, Position, Reading } from '../audit/outbox.ts'
import type { BatchLimits } from './sink.ts'

export class Lane {
  readonly chain: string
  /** The last record that the sink took. */
  sent: Position | undefined
  /** Not read before, after trouble. */
  restsUntil = Number.NEGATIVE_INFINITY
  #reading: Reading | undefined
  #fresh: AsyncGenerator<Outgoing, undefined> | undefined
  /** Read, and too much for the batch before. */
  #ahead: Outgoing | undefined

  constructor(chain: string, sent: Position | undefined) {
    this.chain = chain
    this.sent = sent
  }

  /** Returns what somebody should know of where it goes on. */
  async open(outbox: Outbox): Promise<string | undefined> {
    if (this.#reading !== undefined) return undefined
    this.#reading = await outbox.read(this.chain, this.sent)
    return this.#reading?.note
  }

  /** What is there to be sent, up to the limits. `gap`: records that are not there, as a sentence. */
  async gather(
    limits: BatchLimits,
  ): Promise<{ readonly batch: readonly Outgoing[]; readonly gap: string | undefined }> {
    const batch: Outgoing[] = []
    let gap: string | undefined
    let bytes = 0
    let last = this.sent?.sequence
    while (batch.length < limits.records) {
      const next = this.#ahead ?? (await this.#next())
      if (next === undefined) break
      const { sequence, line } = next.shipment
      this.#ahead = next
      bytes += line.length + 1
      if (batch.length > 0 && bytes > limits.bytes) break
      this.#ahead = undefined
      if (last !== undefined && sequence > last + 1) {
        gap ??= `records ${last + 1} to ${sequence - 1} of the chain ${this.chain} are not in the journal`
      }
      last = sequence
      batch.push(next)
    }
    return { batch, gap }
  }

  /** What was read behind it is read again. */
  backTo(position: Position | undefined): void {
    this.sent = position
    this.#reading = undefined
    this.#ahead = undefined
    // Nobody asks it for more: what it holds open, it closes.
    void this.#fresh?.return(undefined)
    this.#fresh = undefined
  }

  async #next(): Promise<Outgoing | undefined> {
    this.#fresh ??= this.#reading?.fresh()
    const { value } = (await this.#fresh?.next()) ?? {}
    if (value === undefined) this.#fresh = undefined
    return value
  }
}
