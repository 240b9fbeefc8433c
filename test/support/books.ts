// A journal's storage that keeps nothing and checks everything: the chain, that each execution has its
// intent before its outcome and one outcome only. Many sessions can write to it.

import { hash } from 'node:crypto'
import { ChainCheck } from '../../src/audit/chain.ts'
import type { Batch } from '../../src/audit/storage.ts'
import { EndlessSegment, parseLine } from './memory-journal.ts'

export class Books extends EndlessSegment {
  readonly #chain = new ChainCheck()
  readonly #running = new Set<string>()
  readonly #allowed = new Set<string>()
  /** By their hashes: those that were kept beside their records, and those among them that were allowed. */
  readonly #beside = new Set<string>()
  readonly #allowedBeside = new Set<string>()
  #problem: string | undefined

  /** Must not throw: the journal would take it for a full disk. */
  override write({ bytes: lines, length, overflow }: Batch): void {
    for (const { text } of overflow) this.#beside.add(hash('sha256', text, 'hex'))
    for (let start = 0; start < length; ) {
      const end = lines.indexOf(0x0a, start)
      const line = lines.subarray(start, end)
      this.#problem ??= this.#chain.line(line)?.message
      this.#record(parseLine(line.toString('utf8')))
      start = end + 1
    }
  }

  /** Texts that were recorded as allowed since `reset`, whole. */
  allows(text: string): boolean {
    return this.#allowed.has(text) || this.#allowedBeside.has(hash('sha256', text, 'hex'))
  }

  /** Throws when the records do not add up, or a statement has no outcome. */
  close(): void {
    if (this.#problem !== undefined) throw new Error(`journal: ${this.#problem}`)
    const [unfinished] = this.#running
    if (unfinished !== undefined) throw new Error(`statement ${unfinished} has no outcome`)
    this.#allowed.clear()
    this.#allowedBeside.clear()
  }

  #record(record: Readonly<Record<string, unknown>>): void {
    if (record['type'] === 'statement' && record['decision'] === 'allow') {
      this.#running.add(String(record['id']))
      this.#allowed.add(String(record['text']))
      const whole = record['textSha256']
      if (typeof whole === 'string' && this.#beside.has(whole)) this.#allowedBeside.add(whole)
    }
    if (record['type'] !== 'outcome') return
    const id = String(record['statement'])
    if (!this.#running.delete(id)) this.#problem ??= `outcome of ${id} without an intent`
  }
}
