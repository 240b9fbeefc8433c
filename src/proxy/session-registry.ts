// Tells the store which sessions this process serves, so that they can be seen and ended from anywhere. Written
// behind, in batches: a login waits for nothing here, and a store that is away costs a session nothing. What
// is shorter than a beat is never written. Ignorant of who asks.

import { randomUUID } from 'node:crypto'
import type { LiveSession } from '../access/live-session.ts'
import { endedByOperator } from '../access/sessions-desk.ts'
import type { Failure } from '../errors.ts'
import type { Notices } from './ports.ts'

/** Implemented by store/. */
export interface SessionsStore {
  writeSessions(batch: {
    readonly instance: string
    readonly opened: readonly LiveSession[]
    readonly closed: readonly string[]
  }): Promise<{ readonly fresh: boolean; readonly toEnd: readonly string[] }>
}

export interface SessionRegistryOptions {
  readonly store: SessionsStore
  readonly notices: Pick<Notices, 'hear'>
  /** Hears when the store stops answering; not of every try. */
  readonly onProblem: (error: unknown) => void
}

interface Served {
  readonly session: LiveSession
  readonly end: (failure: Failure) => void
  /** Whether the store has it, or is being told. */
  written: boolean
}

const beatEveryMs = 2_000
/** What is over should not be shown for long: somebody may be waiting for it. */
const goneWithinMs = 200
/** What may be over without the store knowing. */
const mostGone = 10_000
/** In one statement. */
const mostAtOnce = 1_000

export class SessionRegistry {
  readonly #options: SessionRegistryOptions
  readonly #served = new Map<string, Served>()
  /** Those that the store has, and that are over: never more than it was told of. */
  readonly #gone = new Set<string>()
  /** Under which name the store knows what is served here. */
  #instance = randomUUID()
  #beat: NodeJS.Timeout | undefined
  #soon: NodeJS.Timeout | undefined
  #writing: Promise<void> | undefined
  #failing = false

  constructor(options: SessionRegistryOptions) {
    this.#options = options
    options.notices.hear('session.end', ({ session }) => {
      if (session !== undefined) this.end(session)
    })
  }

  start(): void {
    this.#beat = setInterval(() => this.#writeBehind(), beatEveryMs)
    this.#beat.unref()
  }

  /** Sessions are expected to be over before: the store is told so, if it listens. */
  async stop(): Promise<void> {
    clearInterval(this.#beat)
    clearTimeout(this.#soon)
    await this.flush().catch(() => undefined)
  }

  opened(session: LiveSession, end: (failure: Failure) => void): void {
    this.#served.set(session.id, { session, end, written: false })
  }

  closed(id: string): void {
    const served = this.#served.get(id)
    this.#served.delete(id)
    if (served?.written !== true) return
    if (this.#gone.size >= mostGone) this.#beginAnew()
    this.#gone.add(id)
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined
      this.#writeBehind()
    }, goneWithinMs).unref()
  }

  /** Whether there was such a session here. Its client is told that somebody has ended it. */
  end(id: string): boolean {
    const served = this.#served.get(id)
    served?.end(endedByOperator())
    return served !== undefined
  }

  /** Resolves when the store knows what is known here now. @throws what the store throws */
  async flush(): Promise<void> {
    // What is on its way may have begun before the last change.
    await this.#writing?.catch(() => undefined)
    await this.#write()
  }

  #writeBehind(): void {
    if (this.#served.size === 0 && this.#gone.size === 0) return
    this.#write().then(
      () => {
        this.#failing = false
      },
      (error: unknown) => {
        if (!this.#failing) this.#options.onProblem(error)
        this.#failing = true
      },
    )
  }

  /** Under another name: what stands under the old one is dropped as that of a process that is dead. */
  #beginAnew(): void {
    this.#instance = randomUUID()
    this.#gone.clear()
    for (const served of this.#served.values()) served.written = false
  }

  /** One statement at a time. */
  #write(): Promise<void> {
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined
    })
    return this.#writing
  }

  async #writeAll(): Promise<void> {
    for (let more = true; more; ) more = await this.#writeSome()
  }

  /** Whether there is more to be written. */
  async #writeSome(): Promise<boolean> {
    const { store } = this.#options
    const unwritten = [...this.#served.values()].filter(({ written }) => !written)
    const opened = unwritten.slice(0, mostAtOnce)
    const closed = [...this.#gone].slice(0, mostAtOnce)
    // Told from here on: one that ends in the meantime has to be taken back.
    for (const served of opened) served.written = true
    try {
      const { fresh, toEnd } = await store.writeSessions({
        instance: this.#instance,
        opened: opened.map(({ session }) => session),
        closed,
      })
      for (const id of closed) this.#gone.delete(id)
      // The store had taken this process for dead, and dropped what was written before.
      if (fresh) {
        const now = new Set(opened)
        for (const served of this.#served.values()) served.written = now.has(served)
      }
      for (const id of toEnd) this.end(id)
      return (
        unwritten.length > opened.length || this.#gone.size > 0 || (fresh && this.#hasUnwritten)
      )
    } catch (error) {
      for (const served of opened) served.written = false
      throw error
    }
  }

  get #hasUnwritten(): boolean {
    for (const { written } of this.#served.values()) if (!written) return true
    return false
  }
}
