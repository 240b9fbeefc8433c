// The Journal's order: everything appended in one turn of the event loop gets its numbers and its place in
// the hash chain and is stored with one write, and only then, or when it is on the disk, does anybody hold a
// Receipt. What nobody waited for is kept while nothing can be written, and comes first when something can.
// Ignorant of files: storage is a port (journal/ implements it).

import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'
import { Backlog } from './backlog.ts'
import { BatchBuffer, type Entry } from './batch.ts'
import { GroupCommit, type Notice } from './group-commit.ts'
import { journalLostRecord } from './journal-record.ts'
import type { JournalStorage, OverflowText, Tip } from './storage.ts'
import { Timestamps } from './timestamp.ts'

/** Somebody who waits for what it appended. Told once for each turn in which it did, in order. */
export interface JournalWaiter {
  /** All that the receipt covers is stored. */
  stored(receipt: Receipt): void
  /**
   * Nothing may be relied on of what it appended and was not told of, as far as the append `upTo`.
   * `failure` is a journal_unavailable for the client.
   */
  refused(failure: Failure, upTo: number): void
}

/** What else goes with a record. */
export interface Beside {
  /** Nobody is told that the record is stored before it survives the loss of power. */
  readonly durable?: boolean
  readonly overflow?: readonly OverflowText[]
}

/** Is told what becomes of writes, for metrics and the log. */
export interface JournalObserver {
  wrote(records: number, bytes: number, ms: number): void
  /** It is on the disk. */
  synced(ms: number): void
  /** `waiting`: how many were refused for it. */
  failed(waiting: number, error: unknown): void
  /** The first success after failures. */
  recovered(): void
  /** So many records that nobody waited for are kept in memory; so many more are lost. */
  kept(records: number, lost: number): void
}

let mint: (upTo: number) => Receipt

/**
 * Proof that everything up to an append is stored, and on the disk for whoever asked for that. Only
 * Journal can make one, and a frame that runs SQL cannot be forwarded without one: "forwarded without
 * a record" does not compile.
 */
export class Receipt {
  // A private field makes the class nominal, and `mint` does not leave this file.
  readonly #upTo: number

  private constructor(upTo: number) {
    this.#upTo = upTo
  }

  static {
    mint = (upTo) => new Receipt(upTo)
  }

  /** The last append that it covers, as `Journal.appended` counted it. */
  get upTo(): number {
    return this.#upTo
  }
}

interface Appended extends Entry {
  readonly waiter: JournalWaiter | undefined
}

/** In characters. A batch is written early beyond this: a pipeline of long texts must not fill memory. */
const spillSize = 4 * 1024 * 1024
/** How long until what is kept is tried again, when nobody else tries. */
const retryMs = 1_000

export class Journal {
  readonly #storage: JournalStorage
  readonly #clock: Clock
  readonly #timestamps: Timestamps
  readonly #observer: JournalObserver | undefined
  readonly #batch: BatchBuffer
  readonly #backlog = new Backlog()
  readonly #commits: GroupCommit<JournalWaiter>
  #tip: Tip

  // What is appended and not yet written.
  #pending: Appended[] = []
  #pendingSize = 0
  #durable = false
  #appended = 0

  // The turn: who is told at its end (true: when it is on the disk), and what.
  #waiters = new Map<JournalWaiter, boolean>()
  #failure: Failure | undefined
  #scheduled = false

  #writes = true
  #syncs = true
  #retry: NodeJS.Timeout | undefined

  constructor(storage: JournalStorage, tip: Tip, clock: Clock, observer?: JournalObserver) {
    this.#storage = storage
    this.#clock = clock
    this.#timestamps = new Timestamps(clock)
    this.#observer = observer
    this.#tip = tip
    this.#batch = new BatchBuffer(tip)
    this.#commits = new GroupCommit(
      () => this.#sync(),
      (notices, error) => this.#committed(notices, error),
    )
  }

  /** The end of what is stored. */
  get tip(): Tip {
    return this.#tip
  }

  /** How often something has been appended: what a Receipt covers is counted by it. */
  get appended(): number {
    return this.#appended
  }

  /** False from a failed write, or a failed flush to the disk, until the next one that succeeds. */
  get healthy(): boolean {
    return this.#writes && this.#syncs
  }

  /** Records that nobody waited for and that are in memory only. */
  get unwritten(): number {
    return this.#backlog.length + this.#backlog.lost
  }

  /**
   * Appends one record to this turn's batch. `fields` is the inside of a JSON object without braces,
   * e.g. `"type":"session.end","session":"..."`; number, id and time come before it, the hash behind.
   * `waiter`, when given, is told at the end of the turn, or when the disk has it, in the order of first
   * append, once however many records it appended; what it appends while it waits for the disk waits too.
   */
  append(fields: string, waiter?: JournalWaiter, beside?: Beside): void {
    if (this.#pendingSize > spillSize) this.#write()
    this.#appended += 1
    this.#pendingSize += fields.length
    this.#pending.push({
      fields,
      time: this.#timestamps.now(),
      overflow: beside?.overflow,
      waiter,
    })
    if (waiter !== undefined) {
      const durable = beside?.durable === true || this.#waiters.get(waiter) === true
      this.#durable ||= durable
      this.#waiters.set(waiter, durable)
    }
    this.#schedule()
  }

  /** Appends one record and waits until it is stored. Rejects with the journal_unavailable Failure. */
  record(fields: string, beside?: Beside): Promise<Receipt> {
    return new Promise((resolve, reject) => {
      this.append(fields, { stored: resolve, refused: reject }, beside)
    })
  }

  /** Writes what is pending now, without waiting for the turn's end: for shutdown. */
  flush(): void {
    this.#write()
    const waiters = this.#waiters
    const failure = this.#failure
    const upTo = this.#appended
    // A waiter may append: what it appends belongs to the next turn.
    this.#waiters = new Map()
    this.#failure = undefined
    const now: Notice<JournalWaiter>[] = []
    for (const [waiter, durable] of waiters) {
      const notice = { waiter, upTo, failure }
      if ((durable && failure === undefined) || this.#commits.holds(waiter)) {
        this.#commits.add(notice)
      } else {
        now.push(notice)
      }
    }
    this.#commits.start()
    this.#tell(now)
  }

  /** Ends the segment, if there is anything in it. The next record begins another. */
  rotate(): void {
    this.flush()
    if (!this.#writes) return
    try {
      this.#endSegment()
    } catch (error) {
      this.#works(false, this.#syncs)
      this.#observer?.failed(0, error)
    }
  }

  /** Tries once more to write what is kept, and tries no further. `unwritten` says what is lost. */
  close(): void {
    this.flush()
    clearTimeout(this.#retry)
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

  /** Everything that is kept and pending. On failure the chain ends where it did before. */
  #write(): void {
    const pending = this.#pending
    if (pending.length === 0 && this.unwritten === 0) return
    const durable = this.#durable
    this.#pending = []
    this.#pendingSize = 0
    this.#durable = false
    try {
      this.#catchUp()
      if (pending.length > 0) this.#store(pending, durable)
      this.#works(true, this.#syncs)
    } catch (error) {
      const lost = this.#backlog.lost
      for (const entry of pending) if (entry.waiter === undefined) this.#backlog.keep(entry)
      this.#failure = unavailable(error)
      this.#works(false, this.#syncs)
      this.#observer?.failed(this.#waiters.size, error)
      this.#observer?.kept(this.#backlog.length, this.#backlog.lost - lost)
      if (this.unwritten > 0) this.#tryAgain()
    }
  }

  /** First what is older. */
  #catchUp(): void {
    if (this.unwritten === 0) return
    while (this.#backlog.length > 0) {
      const oldest = this.#backlog.oldest()
      this.#store(oldest, false)
      this.#backlog.drop(oldest.length)
    }
    if (this.#backlog.lost > 0) {
      this.#store([this.#own(journalLostRecord(this.#backlog.lost))], false)
      this.#backlog.forgive()
    }
    this.#observer?.kept(0, 0)
  }

  #store(entries: readonly Entry[], durable: boolean): void {
    if (this.#storage.full) this.#endSegment()
    this.#put(entries, durable)
  }

  #endSegment(): void {
    const seal = this.#storage.seal(this.#tip)
    if (seal === undefined) return
    this.#put([this.#own(seal)], false)
    this.#storage.end()
  }

  /** One write. */
  #put(entries: readonly Entry[], durable: boolean): void {
    const batch = this.#batch
    batch.begin(this.#tip, durable)
    const opening = this.#storage.opening(this.#tip)
    if (opening !== undefined) batch.add(this.#own(opening))
    for (const entry of entries) batch.add(entry)
    const startedAt = this.#clock.elapsed()
    this.#storage.write(batch)
    this.#tip = batch.tip
    this.#observer?.wrote(batch.records, batch.length, this.#clock.elapsed() - startedAt)
  }

  /** A record of the journal's own. */
  #own(fields: string): Entry {
    return { fields, time: this.#timestamps.now(), overflow: undefined }
  }

  async #sync(): Promise<void> {
    const startedAt = this.#clock.elapsed()
    await this.#storage.sync()
    this.#observer?.synced(this.#clock.elapsed() - startedAt)
  }

  #committed(notices: readonly Notice<JournalWaiter>[], error: unknown): void {
    this.#works(this.#writes, error === undefined)
    if (error === undefined) {
      this.#tell(notices)
      return
    }
    this.#observer?.failed(notices.length, error)
    const failure = unavailable(error)
    this.#tell(notices.map((notice) => ({ ...notice, failure })))
  }

  #works(writes: boolean, syncs: boolean): void {
    const recovers = writes && syncs && !this.healthy
    this.#writes = writes
    this.#syncs = syncs
    if (recovers) this.#observer?.recovered()
  }

  #tryAgain(): void {
    if (this.#retry !== undefined) return
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      this.flush()
    }, retryMs).unref()
  }

  /** One waiter's defect must not leave the others waiting; it surfaces when all have been told. */
  #tell(notices: readonly Notice<JournalWaiter>[]): void {
    const defects: unknown[] = []
    for (const { waiter, upTo, failure } of notices) {
      try {
        if (failure === undefined) waiter.stored(mint(upTo))
        else waiter.refused(failure, upTo)
      } catch (defect) {
        defects.push(defect)
      }
    }
    if (defects.length > 0) throw new AggregateError(defects, 'a waiter of the journal threw')
  }
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
