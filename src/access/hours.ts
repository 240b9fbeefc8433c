// The clock's part of the control plane: pending requests expire, grants end, and whoever holds one that ends soon
// is told. Access itself does not wait for it: every login and every statement looks at the clock. Any number of
// processes do this side by side, and each request and grant is taken by one of them, once.

import { byClock } from './change.ts'
import { expire } from './deciding.ts'
import type { DeskTransaction } from './desk-store.ts'
import { type Done, type LedgerPorts, transact } from './ledger.ts'

export interface HoursPorts extends LedgerPorts {
  /** Hears of rounds that failed; the next one tries again. */
  readonly onProblem: (error: unknown) => void
}

const everyMs = 5_000
const endingWithinMs = 30 * 60 * 1000
/** Of one transaction: what it locks, others wait for. */
const mostAtOnce = 100

export class Hours {
  readonly #ports: HoursPorts
  #timer: NodeJS.Timeout | undefined
  #round: Promise<void> | undefined
  #stopped = false

  constructor(ports: HoursPorts) {
    this.#ports = ports
  }

  /** A round every five seconds, and one now. */
  start(): void {
    const round = (): void => {
      this.round().catch(this.#ports.onProblem)
    }
    this.#timer = setInterval(round, everyMs)
    this.#timer.unref()
    round()
  }

  /** Waits for what is under way. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#timer)
    await this.#round?.catch(() => undefined)
  }

  /** Resolves when everything is done that is due by now. One at a time: a second caller waits for the first. */
  round(): Promise<void> {
    this.#round ??= this.#everything().finally(() => {
      this.#round = undefined
    })
    return this.#round
  }

  async #everything(): Promise<void> {
    await this.#all(async (transaction, now) => {
      const overdue = await transaction.lockOverdue(now, mostAtOnce)
      const decided = overdue.map((request) => expire(request, now))
      for (const { request } of decided) await transaction.updateRequest(request)
      return { result: overdue.length, changes: decided.flatMap(({ changes }) => changes) }
    })
    await this.#all(async (transaction, now) => {
      const ended = await transaction.lockEnded(now, mostAtOnce)
      const changes = ended.map((grant) => ({ type: 'grant.expired', grant, by: byClock }) as const)
      return { result: ended.length, changes }
    })
    await this.#all(async (transaction, now) => {
      const ending = await transaction.lockEnding(now, now + endingWithinMs, mostAtOnce)
      const changes = ending.map((grant) => ({ type: 'grant.ending', grant, by: byClock }) as const)
      return { result: ending.length, changes }
    })
  }

  async #all(
    step: (transaction: DeskTransaction, now: number) => Promise<Done<number>>,
  ): Promise<void> {
    let done: number
    do {
      const now = this.#ports.clock.now()
      done = await transact(this.#ports, (transaction) => step(transaction, now))
    } while (done === mostAtOnce && !this.#stopped)
  }
}
