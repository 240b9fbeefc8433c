// Logins that were refused to strangers, recorded so that nobody can fill the journal's disk with them:
// one by one while a network is refused seldom; beyond that counted, and summed up once a second by
// reason. Ignorant of why a login is refused.

import type { Journal } from '../audit/journal.ts'
import { type Login, loginRecord } from '../audit/record.ts'
import type { Clock } from '../clock.ts'
import { NetworkRate } from './network-rate.ts'
import type { Log } from './ports.ts'

/** A person who mistypes, or a pool whose token has expired, is far below. */
const alone = { burst: 100, everyMs: 1_000, networks: 10_000 }
const sumEveryMs = 1_000

interface Sum {
  count: number
  /** The one before which the others came. */
  last: Login
}

export class Refusals {
  readonly #journal: Journal
  readonly #log: Log
  readonly #limit: NetworkRate
  /** By reason, of which there are few. */
  readonly #sums = new Map<string | undefined, Sum>()
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(deps: { readonly journal: Journal; readonly log: Log; readonly clock: Clock }) {
    this.#journal = deps.journal
    this.#log = deps.log
    this.#limit = new NetworkRate(deps.clock, alone)
  }

  /** Resolves when the refusal may be told. Rejects when it cannot be recorded. */
  async record(address: string, login: Login): Promise<void> {
    if (this.#limit.spend(address) === undefined && !this.#stopped) {
      this.#count(login)
      return
    }
    await this.#journal.record(loginRecord(login))
    this.#say(login, 1)
  }

  /** Records what is still to be summed up; whatever comes after that by itself. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#sumUp()
  }

  #count(login: Login): void {
    const count = (this.#sums.get(login.reason)?.count ?? 0) + 1
    this.#sums.set(login.reason, { count, last: login })
    this.#timer ??= setTimeout(() => this.#sumUp(), sumEveryMs).unref()
  }

  #sumUp(): void {
    this.#timer = undefined
    for (const { count, last } of this.#sums.values()) {
      this.#journal.append(loginRecord({ ...last, count }))
      this.#say(last, count)
    }
    this.#sums.clear()
  }

  #say({ principal, target, client, reason }: Login, count: number): void {
    const fields = { principal, target, client, reason, ...(count === 1 ? {} : { count }) }
    this.#log.warn(fields, count === 1 ? 'login refused' : 'logins refused')
  }
}
