// In which order a target's servers are tried: as they are configured, but those that did not serve a
// short while ago come last, so that a dead one does not cost every login its share of the time.

import type { Clock } from '../clock.ts'

/** How long a server stays behind the others. It is always tried, only later. */
const behindMs = 30_000

export class ServerOrder<Server> {
  readonly #servers: readonly Server[]
  readonly #clock: Clock
  readonly #failedAt = new Map<Server, number>()

  constructor(servers: readonly Server[], clock: Clock) {
    this.#servers = servers
    this.#clock = clock
  }

  get inOrder(): readonly Server[] {
    const since = this.#clock.elapsed() - behindMs
    const behind = (server: Server): boolean => (this.#failedAt.get(server) ?? -Infinity) > since
    return [
      ...this.#servers.filter((server) => !behind(server)),
      ...this.#servers.filter((server) => behind(server)),
    ]
  }

  served(server: Server): void {
    this.#failedAt.delete(server)
  }

  failed(server: Server): void {
    this.#failedAt.set(server, this.#clock.elapsed())
  }
}
