// Checks what the journal says of itself: that each segment begins as the chain's next one, that a seal
// counts its lines, and that what is gone from the start was retired. Ignorant of files and of hashes; it
// is told of records that the chain vouches for.

import type { ChainPlace } from './chain.ts'
import { fieldsOf, isObject } from './line.ts'
import type { Finding } from './verdict.ts'

/** As the file's name says. */
export interface SegmentName {
  readonly chain: string
  readonly first: number
}

export interface JournalRecord {
  readonly type: string
  readonly sequence: number
  readonly line: Buffer
}

export interface SegmentCheckOptions {
  /** Where the chain that is left begins. */
  readonly base: ChainPlace
  /** Another process goes on: the one before has ended, one way or the other. */
  readonly onStart: () => void
}

/** Where a chain goes on whose beginning is gone: behind what its first record says it is sealed to. */
export function placeBefore({ sequence, line }: Omit<JournalRecord, 'type'>) {
  const { type, previous } = fieldsOf(line)
  if (type !== 'journal.open' || !isHash(previous)) return undefined
  return { sequence: sequence - 1, hash: previous } satisfies ChainPlace
}

export class SegmentCheck {
  readonly #onStart: () => void
  #gone: ChainPlace | undefined
  #before: ChainPlace
  #segment: SegmentName | undefined
  #lines = 0
  #lastType: string | undefined
  #deaths = 0
  #lost = 0
  #unsealed = 0

  constructor({ base, onStart }: SegmentCheckOptions) {
    this.#before = base
    this.#gone = base.sequence === 0 ? undefined : base
    this.#onStart = onStart
  }

  /** Of the last record; undefined before the first. */
  get lastType(): string | undefined {
    return this.#lastType
  }

  /** The last record before those that are left, as long as none of these says that it was retired. */
  get gone(): ChainPlace | undefined {
    return this.#gone
  }

  get notes(): readonly string[] {
    const notes: readonly (readonly [number, string])[] = [
      [
        this.#deaths,
        'time(s) a process ended without journal.close: it was killed, or lost its power',
      ],
      [
        this.#lost,
        'record(s) were lost while the journal could not be written: outcomes and the like',
      ],
      [this.#unsealed, 'segment(s) have no seal: writing failed at their ends'],
    ]
    return notes.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`)
  }

  /** A file begins. */
  begin(segment: SegmentName): void {
    this.#segment = segment
    this.#lines = 0
  }

  /** The next record; `hash` is its own. */
  record(record: JournalRecord, hash: string): Finding | undefined {
    this.#lines += 1
    const finding = this.#lines === 1 ? this.#first(record) : this.#further(record)
    this.#lastType = record.type
    this.#before = { sequence: record.sequence, hash }
    return finding
  }

  #first({ type, sequence, line }: JournalRecord): Finding | undefined {
    const { chain, reason, previous } = fieldsOf(line)
    if (type !== 'journal.open') return misplaced('a file begins without journal.open')
    const segment = this.#segment
    if (segment === undefined || chain !== segment.chain || sequence !== segment.first) {
      return {
        kind: 'renamed',
        message: `this is the file of chain ${String(chain)} that begins with record ${sequence}, and has another name`,
      }
    }
    // The first format had no such field.
    if (previous !== undefined && previous !== this.#before.hash) {
      return misplaced(`the hash that it goes on from is not that of record ${sequence - 1}`)
    }
    if (reason === 'start') this.#started()
    // The first format had no seals.
    else if (previous !== undefined && this.#lastType !== 'journal.seal') this.#unsealed += 1
    return undefined
  }

  #started(): void {
    if (this.#lastType !== undefined && this.#lastType !== 'journal.close') this.#deaths += 1
    this.#onStart()
  }

  #further({ type, line }: JournalRecord): Finding | undefined {
    if (this.#lastType === 'journal.seal') return misplaced('a file goes on behind its seal')
    switch (type) {
      case 'journal.open':
        return misplaced('a file begins within another')
      case 'journal.seal': {
        const { records } = fieldsOf(line)
        if (records === this.#lines) return undefined
        return misplaced(
          `the seal is of ${String(records)} records, and stands behind ${this.#lines}`,
        )
      }
      case 'journal.retired':
        this.#retired(line)
        return undefined
      case 'journal.lost': {
        const { records } = fieldsOf(line)
        if (typeof records === 'number') this.#lost += records
        return undefined
      }
      default:
        return undefined
    }
  }

  /** Earlier segments were vouched for by records that were retired with them since. */
  #retired(line: Buffer): void {
    const { segments } = fieldsOf(line)
    if (this.#gone === undefined || !Array.isArray(segments)) return
    const { sequence, hash } = this.#gone
    const named: readonly unknown[] = segments
    if (named.some((one) => isObject(one) && one['last'] === sequence && one['hash'] === hash)) {
      this.#gone = undefined
    }
  }
}

function misplaced(message: string): Finding {
  return { kind: 'malformed', message }
}

function isHash(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
}
