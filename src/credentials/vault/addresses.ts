// In which order the servers of one Vault are asked: the one that served last, then the others as they
// are written; those that did not serve a moment ago come last, so that a dead one does not cost its
// time at every request. Ignorant of what serving means.

import type { Clock } from '../../clock.ts'

const restMs = 30_000

export class Addresses<Server> {
  readonly #servers: readonly Server[]
  readonly #clock: Clock
  /** By the clock: when each failed last. */
  readonly #failedAt = new Map<Server, number>()
  #serving: Server | undefined

  constructor(servers: readonly Server[], clock: Clock) {
    this.#servers = servers
    this.#clock = clock
  }

  /** All of them: where every one has failed, every one is asked again. */
  get inOrder(): readonly Server[] {
    const restedSince = this.#clock.elapsed() - restMs
    const rank = (server: Server): number => {
      if (server === this.#serving) return 0
      return (this.#failedAt.get(server) ?? Number.NEGATIVE_INFINITY) > restedSince ? 2 : 1
    }
    return this.#servers.toSorted((one, other) => rank(one) - rank(other))
  }

  served(server: Server): void {
    this.#serving = server
    this.#failedAt.delete(server)
  }

  failed(server: Server): void {
    if (this.#serving === server) this.#serving = undefined
    this.#failedAt.set(server, this.#clock.elapsed())
  }
}
