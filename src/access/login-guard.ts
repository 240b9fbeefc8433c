// What failed logins cost whoever fails: an answer that comes later each time, then for a while none but that.
// Counted in the store for all replicas, by the principal that was claimed and the address it was claimed from,
// whether there is such a principal or not. Where the principal has logged in before, nobody is locked out:
// a stranger behind the same address could not be told from it. Ignorant of sockets and of SQL.

import type { Clock } from '../clock.ts'
import { type Actor, byRule, type Change } from './change.ts'

export interface LoginRules {
  /** So many within `withinMs` lock the pair out for `lockOutMs`. */
  readonly failures: number
  readonly withinMs: number
  readonly lockOutMs: number
  /** After the first failure; twice as long after each further one. 0: answers come at once. */
  readonly delayMs: number
  readonly longestDelayMs: number
}

export interface LockOut {
  readonly id: string
  readonly principal: string
  readonly address: string
  readonly failures: number
  /** Milliseconds since the epoch. */
  readonly until: number
}

/** A claimed name from one address, or from one network where addresses are cheap. */
export interface Claimant {
  readonly principal: string
  readonly address: string
}

export interface Failed {
  /** Within the time that counts; undefined where there are too many to be counted. */
  readonly failures: number | undefined
  /** This failure has locked the pair out. */
  readonly locked: LockOut | undefined
}

/** Implemented by store/. */
export interface LoginFailureStore {
  lockedUntil(who: Claimant): Promise<number | undefined>
  countFailure(who: Claimant, rules: LoginRules): Promise<Failed>
  /** From here the principal has logged in: its failures are forgotten, and it is not locked out for a while. */
  rememberLogin(who: Claimant): Promise<void>
  lockOuts(limit: number): Promise<readonly LockOut[]>
  liftLockOut(id: string): Promise<LockOut | undefined>
  /** What does not count any more. */
  forgetFailures(rules: LoginRules): Promise<void>
}

export interface LoginGuardOptions {
  readonly store: LoginFailureStore
  /** Asked each time: they may change. */
  readonly rules: () => LoginRules
  readonly clock: Clock
  /** Puts it on record. */
  readonly record: (change: Change) => Promise<void>
  readonly onProblem: (error: unknown) => void
}

/** No principal is longer; what is claimed may be. */
const longestName = 128
const mostListed = 1_000
const forgetEveryMs = 60_000
/** A login is remembered for a month: once a day is often enough, and costs a busy pool nothing. */
const rememberEveryMs = 24 * 60 * 60 * 1000
const mostRemembered = 10_000

export class LoginGuard {
  readonly #options: LoginGuardOptions
  /** When the store was told last, by Clock.elapsed(); the longest ago first. */
  readonly #remembered = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: LoginGuardOptions) {
    this.#options = options
  }

  start(): void {
    const { store, rules, onProblem } = this.#options
    this.#timer = setInterval(
      () => void store.forgetFailures(rules()).catch(onProblem),
      forgetEveryMs,
    )
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Until when nothing that is shown is looked at, in milliseconds since the epoch. @throws what the store throws */
  lockedUntil(who: Claimant): Promise<number | undefined> {
    return this.#options.store.lockedUntil(plain(who))
  }

  /** For how long the answer to this failure should wait, in milliseconds. Never rejects. */
  async failed(who: Claimant): Promise<number> {
    const { store, record, onProblem } = this.#options
    const rules = this.#options.rules()
    const { delayMs, longestDelayMs } = rules
    try {
      const { failures, locked } = await store.countFailure(plain(who), rules)
      if (locked !== undefined) {
        const { principal, address, until } = locked
        await record({
          ...{ type: 'login.locked', by: byRule, principal, address, until },
          failures: locked.failures,
        })
      }
      if (failures === undefined) return longestDelayMs
      return Math.min(delayMs * 2 ** (failures - 1), longestDelayMs)
    } catch (error) {
      onProblem(error)
      return delayMs
    }
  }

  /** Told in the background: no login waits for it. */
  succeeded(who: Claimant): void {
    const { store, clock, onProblem } = this.#options
    const key = JSON.stringify([who.principal, who.address])
    const now = clock.elapsed()
    const before = this.#remembered.get(key)
    if (before !== undefined && now - before < rememberEveryMs) return
    this.#remembered.delete(key)
    const [oldest] = this.#remembered.size >= mostRemembered ? this.#remembered.keys() : []
    if (oldest !== undefined) this.#remembered.delete(oldest)
    this.#remembered.set(key, now)
    store.rememberLogin(who).catch((error: unknown) => {
      this.#remembered.delete(key)
      onProblem(error)
    })
  }

  /** Those that hold now, the latest first. */
  list(): Promise<readonly LockOut[]> {
    return this.#options.store.lockOuts(mostListed)
  }

  /** Whether there was one of that id. */
  async lift(by: Actor, id: string): Promise<boolean> {
    const { store, record } = this.#options
    const lockOuts = await this.list()
    const found = lockOuts.find((each) => each.id === id)
    if (found === undefined) return false
    const { principal, address } = found
    await record({ type: 'login.unlocked', by, principal, address })
    return (await store.liftLockOut(id)) !== undefined
  }
}

function plain({ principal, address }: Claimant): Claimant {
  return { principal: [...principal].slice(0, longestName).join(''), address }
}
