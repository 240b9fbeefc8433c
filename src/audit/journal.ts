// The Journal's order: records get a number and a place in the hash chain, everything appended in one
// turn of the event loop is stored with one write, and only then does anybody hold a Receipt.
// Ignorant of files: storage is a port (journal/ implements it).

import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'
import { lineHead, seal, sealedLine } from './chain.ts'

/** Where lines go. Implemented by journal/. */
export interface JournalStorage {
  /**
   * Stores the first `length` bytes of `lines` (whole lines) or throws, having left nothing of them
   * behind. Synchronous: when it returns, the bytes survive the death of this process.
   */
  write(lines: Buffer, length: number): void
  /**
   * Fields of a record that must come first in the next write, when that will begin a new segment.
   * Asked before the first record of each batch, so that the opening record has its place in the chain.
   */
  opening?(): string | undefined
}

/** The end of the chain: the last record stored. */
export interface Tip {
  /** Sequence number of the last record; 0 when there is none. */
  readonly sequence: number
  /** Its hash, 64 hexadecimal digits; for sequence 0 the genesis value. */
  readonly hash: string
}

/** Somebody who waits for what was appended in this turn. Called once per append batch it joined. */
export interface JournalWaiter {
  stored(receipt: Receipt): void
  /** Nothing of the batch may be relied on. `failure` is a journal_unavailable for the client. */
  refused(failure: Failure): void
}

/** A text that is too long for its record: it goes, whole, into a file beside the segment. */
export interface OverflowText {
  readonly text: string
  /** Of its UTF-8, in lower-case hexadecimal: what the record names it by. */
  readonly sha256: string
}

/** What else goes with a record. */
export interface Beside {
  /** Nobody is told that the record is stored before it survives the loss of power. */
  readonly durable?: boolean
  readonly overflow?: readonly OverflowText[]
}

/** Is told of every write, for metrics and the log. */
export interface JournalObserver {
  wrote(records: number, bytes: number, ms: number): void
  failed(records: number, error: unknown): void
}

let mint: (sequence: number) => Receipt

/**
 * Proof that every record up to `sequence` is stored. Only Journal can make one, and a frame that
 * runs SQL cannot be forwarded without one: "forwarded without a record" does not compile.
 */
export class Receipt {
  // A private field makes the class nominal, and `mint` does not leave this file.
  readonly #sequence: number

  private constructor(sequence: number) {
    this.#sequence = sequence
  }

  static {
    mint = (sequence) => new Receipt(sequence)
  }

  get sequence(): number {
    return this.#sequence
  }
}

const initialBytes = 1024 * 1024
/** A batch is written early beyond this: a pipeline of executions of one long text must not fill memory. */
const spillBytes = 8 * 1024 * 1024

export class Journal {
  readonly #storage: JournalStorage
  readonly #clock: Clock
  readonly #observer: JournalObserver | undefined

  #sequence: number
  #hash: string
  #time = ''
  #timeAt = Number.NaN

  // What is appended and not yet written, and where to go back to when it cannot be.
  #batch = Buffer.allocUnsafeSlow(initialBytes)
  #length = 0
  #records = 0
  #unwatched = 0
  #base: Tip

  // The turn: who is told at its end, and what.
  #waiters = new Set<JournalWaiter>()
  #failure: Failure | undefined
  #scheduled = false

  #healthy = true
  #lostRecords = 0

  constructor(storage: JournalStorage, tip: Tip, clock: Clock, observer?: JournalObserver) {
    this.#storage = storage
    this.#clock = clock
    this.#observer = observer
    this.#sequence = tip.sequence
    this.#hash = tip.hash
    this.#base = tip
  }

  /** The end of what is stored. */
  get tip(): Tip {
    return this.#length > 0 ? this.#base : { sequence: this.#sequence, hash: this.#hash }
  }

  /** False from a failed write until the next one that succeeds. */
  get healthy(): boolean {
    return this.#healthy
  }

  /** Records that were lost to failed writes and that nobody waited for: outcomes, ends of sessions. */
  get lostRecords(): number {
    return this.#lostRecords
  }

  /**
   * Appends one record to this turn's batch. `fields` is the inside of a JSON object without braces,
   * e.g. `"type":"session.end","session":"..."`; the journal puts `seq` and `time` before it and `hash`
   * behind. Returns its sequence number. `waiter`, when given, is told at the end of the turn, in the
   * order of first append, once however many records it appended.
   */
  append(fields: string, waiter?: JournalWaiter, _beside?: Beside): number {
    if (this.#length > spillBytes) this.#write()
    if (this.#length === 0) this.#openSegment()
    this.#add(fields)
    if (waiter === undefined) this.#unwatched += 1
    else this.#waiters.add(waiter)
    this.#schedule()
    return this.#sequence
  }

  /** Appends one record and waits for the end of the turn. Rejects with the journal_unavailable Failure. */
  record(fields: string): Promise<Receipt> {
    return new Promise((resolve, reject) => {
      this.append(fields, { stored: resolve, refused: reject })
    })
  }

  /** Writes what is pending now, without waiting for the turn's end: for shutdown. */
  flush(): void {
    if (this.#length > 0) this.#write()
    const waiters = this.#waiters
    const failure = this.#failure
    // A waiter may append: what it appends belongs to the next batch.
    this.#waiters = new Set()
    this.#failure = undefined
    if (failure === undefined) {
      const receipt = mint(this.#sequence)
      tellEach(waiters, (waiter) => waiter.stored(receipt))
    } else {
      tellEach(waiters, (waiter) => waiter.refused(failure))
    }
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    // Microtasks run between the sockets' callbacks; only setImmediate sees all that one poll brought.
    setImmediate(() => {
      this.#scheduled = false
      this.flush()
    })
  }

  #openSegment(): void {
    this.#base = { sequence: this.#sequence, hash: this.#hash }
    const fields = this.#storage.opening?.()
    if (fields !== undefined) this.#add(fields)
  }

  #add(fields: string): void {
    const head = lineHead(this.#sequence + 1, this.#now(), fields)
    this.#hash = seal(this.#hash, head)
    this.#sequence += 1
    this.#records += 1
    const line = sealedLine(head, this.#hash)
    // UTF-8 needs at most three bytes for each UTF-16 unit.
    const room = this.#length + line.length * 3
    if (room > this.#batch.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(room, this.#batch.length * 2))
      this.#batch.copy(larger, 0, 0, this.#length)
      this.#batch = larger
    }
    this.#length += this.#batch.write(line, this.#length, 'utf8')
  }

  /** One write. On failure the numbers and hashes go back to what is really stored. */
  #write(): void {
    const startedAt = this.#clock.elapsed()
    try {
      this.#storage.write(this.#batch, this.#length)
      this.#healthy = true
      this.#observer?.wrote(this.#records, this.#length, this.#clock.elapsed() - startedAt)
    } catch (error) {
      this.#sequence = this.#base.sequence
      this.#hash = this.#base.hash
      this.#healthy = false
      this.#lostRecords += this.#unwatched
      this.#failure = unavailable(error)
      this.#observer?.failed(this.#records, error)
    }
    this.#length = 0
    this.#records = 0
    this.#unwatched = 0
    if (this.#batch.length > spillBytes) this.#batch = Buffer.allocUnsafeSlow(initialBytes)
  }

  #now(): string {
    const now = this.#clock.now()
    if (now !== this.#timeAt) {
      this.#timeAt = now
      this.#time = new Date(now).toISOString()
    }
    return this.#time
  }
}

/** One waiter's defect must not leave the others waiting; it surfaces when all have been told. */
function tellEach(
  waiters: ReadonlySet<JournalWaiter>,
  tell: (waiter: JournalWaiter) => void,
): void {
  const defects: unknown[] = []
  for (const waiter of waiters) {
    try {
      tell(waiter)
    } catch (defect) {
      defects.push(defect)
    }
  }
  if (defects.length > 0) throw new AggregateError(defects, 'a waiter of the journal threw')
}

function unavailable(cause: unknown): Failure {
  return new Failure(
    'journal_unavailable',
    {
      message: 'the audit journal cannot be written, so the statement was not forwarded',
      hint: 'Try again in a moment; if it goes on, tell an operator of this proxy.',
    },
    { cause },
  )
}
