// Checks the checkpoints of a chain as a verifier meets them: that each is of a record before it, with the
// hash that this record has, not moved from elsewhere, and signed by a key that is trusted; and that what
// is behind the last one is recent. In bounded memory. Ignorant of files.

import {
  type Checkpoint,
  isSigned,
  mostBetween,
  mostWaitingMs,
  type PublicKeys,
} from './checkpoint.ts'
import type { Finding } from './verdict.ts'

/** How far apart the first and the newest record behind the last checkpoint may always be. */
const graceMs = 10 * 60 * 1000
const hashBytes = 32

export interface CheckedRecord {
  readonly chainId: string | undefined
  readonly sequence: number
  readonly hash: string
  /** RFC 3339. */
  readonly time: string
}

/** `P` is the verifier's own: where a record stands. */
export class CheckpointCheck<P> {
  readonly #keys: PublicKeys | undefined
  /** The hashes of the last records, a ring: a checkpoint is of one of them. */
  readonly #hashes = Buffer.allocUnsafeSlow(mostBetween * hashBytes)
  #oldest: number | undefined
  #lastOf = 0
  #count = 0
  #good = 0
  /** The first record that no good checkpoint covers, and the time of the newest. */
  #uncovered: { readonly time: string; readonly place: P } | undefined
  #newest = ''
  /** From the first record that it covers to a checkpoint, over all of them: how long it takes usually. */
  #delaysMs = 0

  constructor(keys: PublicKeys | undefined) {
    this.#keys = keys
  }

  get count(): number {
    return this.#count
  }

  /** The next record, checkpoint or not. */
  record({ sequence, hash, time }: CheckedRecord, place: P): void {
    this.#oldest ??= sequence
    this.#hashes.write(hash, (sequence % mostBetween) * hashBytes, 'hex')
    this.#uncovered ??= { time, place }
    this.#newest = time
  }

  /** What the record just told says, where it is a checkpoint. Undefined when that is sound. */
  checkpoint(record: CheckedRecord, checkpoint: Checkpoint | undefined): Finding | undefined {
    this.#count += 1
    const finding =
      checkpoint === undefined
        ? unsound('it does not say what a checkpoint says')
        : (this.#misplaced(record, checkpoint) ?? this.#unproved(record, checkpoint))
    if (finding === undefined) this.#covered(record)
    return finding
  }

  /** At the end of the chain: where records begin that only this directory vouches for, if they are many. */
  unsigned(): { readonly place: P; readonly finding: Finding } | undefined {
    if (this.#keys === undefined || this.#uncovered === undefined) return undefined
    const { place, time } = this.#uncovered
    if (this.#good === 0) {
      // Those that are not good were named themselves.
      if (this.#count > 0) return undefined
      return { place, finding: unsigned('no checkpoint vouches for any record of this chain') }
    }
    const ageMs = between(time, this.#newest)
    if (ageMs <= Math.max(graceMs, (3 * this.#delaysMs) / this.#good)) return undefined
    const minutes = Math.round(ageMs / 60_000)
    return {
      place,
      finding: unsigned(
        `no good checkpoint vouches for what stands from here on, ${minutes} minutes of records`,
      ),
    }
  }

  #covered({ time }: CheckedRecord): void {
    this.#good += 1
    if (this.#uncovered !== undefined) this.#delaysMs += between(this.#uncovered.time, time)
    this.#uncovered = undefined
  }

  #misplaced(record: CheckedRecord, { of, at }: Checkpoint): Finding | undefined {
    const { sequence, hash } = of
    const distance = record.sequence - sequence
    if (sequence <= this.#lastOf || distance <= 0 || distance >= mostBetween) {
      return unsound(`it is of record ${sequence} and does not belong here`)
    }
    // Of a record that was retired, the signature alone is left to be checked.
    if (sequence >= (this.#oldest ?? 0) && this.#hashOf(sequence) !== hash) {
      return unsound(`record ${sequence} does not have the hash that was signed: it was rewritten`)
    }
    this.#lastOf = sequence
    // Put further down, it would seem to vouch for records that nobody signed.
    if (Math.abs(between(at, record.time)) <= mostWaitingMs) return undefined
    return unsound(`it was asked for at ${at} and stands among records of ${record.time}`)
  }

  #hashOf(sequence: number): string {
    const at = (sequence % mostBetween) * hashBytes
    return this.#hashes.toString('hex', at, at + hashBytes)
  }

  #unproved({ chainId = '' }: CheckedRecord, checkpoint: Checkpoint): Finding | undefined {
    if (this.#keys === undefined) return undefined
    const key = this.#keys.get(checkpoint.key)
    if (key === undefined) {
      const message = `this checkpoint is signed by the key ${checkpoint.key}, which was not given`
      return { kind: 'unknown key', message }
    }
    if (isSigned(chainId, checkpoint, key)) return undefined
    const message = `the signature of this checkpoint is not of the key ${checkpoint.key} that it names`
    return { kind: 'bad signature', message }
  }
}

function unsound(why: string): Finding {
  return { kind: 'checkpoint', message: `this checkpoint cannot be true: ${why}` }
}

function unsigned(message: string): Finding {
  return { kind: 'unsigned', message }
}

function between(from: string, to: string): number {
  return Date.parse(to) - Date.parse(from)
}
