// Cancel requests among processes that share a store: behind a load balancer a request can reach one that
// does not have the session. It asks all others, by the key's digest, and waits a moment for the one that
// has it to say so. Ignorant of how processes hear of each other.

import { randomUUID } from 'node:crypto'
import type { CancelResult } from '../audit/record.ts'
import type { Notices } from './ports.ts'

/** What came of a request in the process that has the session. */
export interface Taken {
  readonly result: CancelResult
  readonly session: string
}

/** Who else has taken it. */
export interface TakenElsewhere {
  readonly takenBy: string
  readonly session: string | undefined
}

/** Longer than a cancel takes; shorter than a person who pressed Ctrl-C waits. */
const patienceMs = 2_000
/** Requests that wait for an answer at once: beyond it strangers would be served at everybody's cost. */
const mostWaiting = 64

export class Replicas {
  readonly #notices: Notices
  readonly #waiting = new Map<string, (answer: TakenElsewhere | undefined) => void>()

  /** `take` cancels what a key of this process means; undefined when it means none. */
  constructor(
    notices: Notices,
    take: (digest: string, client: string, askedBy: string) => Promise<Taken> | undefined,
  ) {
    this.#notices = notices
    notices.hear('cancel', ({ id, digest, client }, askedBy) => {
      if (id === undefined || digest === undefined || client === undefined) return
      void take(digest, client, askedBy)?.then(({ session }) =>
        notices.tell('cancelled', { id, session }),
      )
    })
    notices.hear('cancelled', ({ id = '', session }, takenBy) => {
      this.#waiting.get(id)?.({ takenBy, session })
    })
  }

  /** Resolves when another process has dealt with it; undefined when none has said so in time. */
  async ask(digest: string, client: string): Promise<TakenElsewhere | undefined> {
    // Nobody there, or nobody to be heard: nothing to wait for.
    if (this.#notices.others === 0) return undefined
    // A session that exists answers within milliseconds: who has waited longest asked for one that does not.
    const [longest] = this.#waiting.size >= mostWaiting ? this.#waiting.values() : []
    longest?.(undefined)
    const id = randomUUID()
    return new Promise((resolve) => {
      const settle = (answer: TakenElsewhere | undefined): void => {
        clearTimeout(timer)
        this.#waiting.delete(id)
        resolve(answer)
      }
      const timer = setTimeout(() => settle(undefined), patienceMs)
      this.#waiting.set(id, settle)
      void this.#notices.tell('cancel', { id, digest, client }).then((told) => {
        if (!told) settle(undefined)
      })
    })
  }

  /** Nobody waits any more. */
  stop(): void {
    for (const settle of [...this.#waiting.values()]) settle(undefined)
  }
}
