// A CancelRequest's way: may its sender try another key, which session does it mean, here or in another
// process, and what is recorded of it. Right, wrong, stale and too many: the sender sees the same, a
// connection that is closed without a byte.

import type { Journal } from '../audit/journal.ts'
import { type CancelResult, cancelRecord } from '../audit/record.ts'
import type { Clock } from '../clock.ts'
import { type CancelKey, Cancels, digestOf } from './cancel.ts'
import { NetworkRate } from './network-rate.ts'
import type { Peer } from './peer.ts'
import type { Meter, Notices } from './ports.ts'
import { Replicas, type Taken } from './replicas.ts'

/** Wrong keys are also those of sessions that have just ended: a pool that closes sends many at once. */
const wrongKeys = { burst: 50, everyMs: 1_000, networks: 10_000 }
/** Anybody can send wrong keys: all are counted, and one record in so long says how many there were. */
const recordEveryMs = 1_000

interface Wrong {
  count: number
  client: string
}

export class CancelRequests {
  readonly cancels = new Cancels()
  readonly #journal: Journal
  readonly #meter: Meter
  readonly #guesses: NetworkRate
  readonly #replicas: Replicas
  readonly #unrecorded = new Map<CancelResult, Wrong>()
  #recording: NodeJS.Timeout | undefined
  #stopped = false

  constructor(deps: {
    readonly journal: Journal
    readonly meter: Meter
    readonly clock: Clock
    readonly notices: Notices
  }) {
    this.#journal = deps.journal
    this.#meter = deps.meter
    this.#guesses = new NetworkRate(deps.clock, wrongKeys)
    this.#replicas = new Replicas(deps.notices, (digest, client, askedBy) =>
      this.#take(digest, client, askedBy),
    )
  }

  /** Resolves when the sender may be told, by closing its connection, that all is done. */
  async handle(key: CancelKey, { address, name }: Peer): Promise<void> {
    const guess = this.#guesses.spend(address)
    if (guess === undefined) {
      this.#wrong('limited', name)
      return
    }
    const digest = digestOf(key)
    const taken = this.#take(digest, name)
    if (taken !== undefined) {
      guess.giveBack()
      await taken
      return
    }
    const elsewhere = await this.#replicas.ask(digest, name)
    if (elsewhere === undefined) {
      this.#wrong('unknown', name)
      return
    }
    guess.giveBack()
    this.#meter.cancel('passed')
    this.#journal.append(cancelRecord({ result: 'passed', client: name, ...elsewhere }))
  }

  /** Whoever waits for another process is let go; what comes now is recorded at once. */
  stop(): void {
    this.#stopped = true
    this.#replicas.stop()
    clearTimeout(this.#recording)
    this.#recordWrong()
  }

  /** Cancels what runs in the session that the key means, if it is one of this process. */
  #take(digest: string, client: string, askedBy?: string): Promise<Taken> | undefined {
    const session = this.cancels.find(digest)
    return session?.cancel().then((result) => {
      const asked = askedBy === undefined ? {} : { askedBy }
      this.#meter.cancel(result)
      this.#journal.append(cancelRecord({ result, client, session: session.sessionId, ...asked }))
      return { result, session: session.sessionId }
    })
  }

  #wrong(result: 'unknown' | 'limited', client: string): void {
    this.#meter.cancel(result)
    const count = (this.#unrecorded.get(result)?.count ?? 0) + 1
    this.#unrecorded.set(result, { count, client })
    if (this.#recording === undefined) this.#recordWrong()
  }

  #recordWrong(): void {
    this.#recording = undefined
    if (this.#unrecorded.size === 0) return
    for (const [result, wrong] of this.#unrecorded) {
      this.#journal.append(cancelRecord({ result, session: undefined, ...wrong }))
    }
    this.#unrecorded.clear()
    if (this.#stopped) return
    this.#recording = setTimeout(() => this.#recordWrong(), recordEveryMs).unref()
  }
}
