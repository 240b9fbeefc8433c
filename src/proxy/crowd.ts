// How many sessions somebody may have at once and how fast an address may log in, in this process. Ignorant
// of sockets, and of whether a login succeeds otherwise.

import type { Grant } from '../access/access.ts'
import type { Clock } from '../clock.ts'
import { tooManyOfGrant, tooManyOfPrincipal } from './limit-refusals.ts'
import { NetworkRate } from './network-rate.ts'
import { Places, type Taken } from './places.ts'
import type { CrowdLimits, Meter } from './ports.ts'

/** How many networks are told apart. A bucket is full again after a second, and forgotten. */
const networks = 10_000

export class Crowd {
  readonly #clock: Clock
  readonly #limits: () => CrowdLimits
  readonly #meter: Meter
  readonly #principals = new Places()
  readonly #grants = new Places()
  #logins: { readonly perSecond: number; readonly rate: NetworkRate } | undefined

  /** `limits` is asked each time: they can change while sessions are open. */
  constructor(deps: {
    readonly clock: Clock
    readonly limits: () => CrowdLimits
    readonly meter: Meter
  }) {
    this.#clock = deps.clock
    this.#limits = deps.limits
    this.#meter = deps.meter
  }

  /** Asked once for each token that somebody shows. False: its address does that too often. */
  mayLogIn(address: string): boolean {
    const { loginsPerSecond } = this.#limits()
    if (loginsPerSecond === undefined) return true
    if (this.#logins?.perSecond !== loginsPerSecond) {
      const each = { burst: loginsPerSecond, everyMs: 1_000 / loginsPerSecond, networks }
      this.#logins = { perSecond: loginsPerSecond, rate: new NetworkRate(this.#clock, each) }
    }
    if (this.#logins.rate.spend(address) !== undefined) return true
    this.#meter.limitReached('logins_per_second')
    return false
  }

  /** A place for one more session, to be given back when it is over or does not begin. @throws Failure */
  seat({ id, principal }: Grant): Taken {
    const { sessionsPerPrincipal, sessionsPerGrant } = this.#limits()
    const ofPrincipal = this.#principals.take(principal, sessionsPerPrincipal)
    if (ofPrincipal === undefined) {
      this.#meter.limitReached('sessions_per_principal')
      throw tooManyOfPrincipal(principal, sessionsPerPrincipal)
    }
    const ofGrant = this.#grants.take(id, sessionsPerGrant)
    if (ofGrant === undefined) {
      ofPrincipal.giveBack()
      this.#meter.limitReached('sessions_per_grant')
      throw tooManyOfGrant(id, sessionsPerGrant)
    }
    return {
      giveBack: () => {
        ofPrincipal.giveBack()
        ofGrant.giveBack()
      },
    }
  }
}
