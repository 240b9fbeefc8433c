// How a running pgwarden is, seen from outside: does it serve, how much does it hold, do its books
// balance. Fails with what was not as it must be.

import { setTimeout as sleep } from 'node:timers/promises'
import { verifyDirectory } from '../../src/journal/verify.ts'
import { sql } from './scripted-session.ts'
import type { Warden } from './warden.ts'
import { WireClient } from './wire-client.ts'

/** How long whatever an attacker has done may hold other people up. */
const probeLimitMs = 20_000
/** Beyond the time after which a target that stops in the middle of a message is given up. */
const settleLimitMs = 20_000

export interface Vitals {
  readonly residentBytes: number
  readonly sessions: number
}

export class ProxyHealth {
  readonly #warden: Warden
  readonly #login: { readonly user: string; readonly password: string }

  constructor(warden: Warden, login: { readonly user: string; readonly password: string }) {
    this.#warden = warden
    this.#login = login
  }

  /** Logs in and runs a statement, while the limit lasts. */
  async serves(): Promise<void> {
    const deadline = Date.now() + probeLimitMs
    for (;;) {
      try {
        const client = await WireClient.logIn(this.#warden.port, this.#login)
        client.says(sql('SELECT 1'))
        await client.hears('readyForQuery', 5_000)
        client.close()
        return
      } catch (cause) {
        // A server that an attacker has made restart is away for a moment.
        if (Date.now() > deadline || this.#exited) throw this.#report('it no longer serves', cause)
        await sleep(200)
      }
    }
  }

  async vitals(): Promise<Vitals> {
    const answer = await fetch(`http://127.0.0.1:${this.#warden.httpPort}/metrics`)
    const text = await answer.text()
    const sum = (name: string): number =>
      [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))]
        .map((match) => Number(match[1]))
        .reduce((total, value) => total + value, 0)
    return {
      residentBytes: sum('process_resident_memory_bytes'),
      sessions: sum('pgwarden_sessions'),
    }
  }

  /** Nobody is connected any more: no session and no backend may be left. */
  async isEmpty(): Promise<void> {
    const deadline = Date.now() + settleLimitMs
    for (;;) {
      const { sessions } = await this.vitals()
      const backends = await this.#backends()
      if (sessions === 0 && backends === 0) return
      if (Date.now() > deadline) {
        throw this.#report(`${sessions} sessions and ${backends} backends are left`)
      }
      await sleep(100)
    }
  }

  /** Stops it; its journal must be whole, with an outcome for each statement that was allowed. */
  async booksBalance(): Promise<void> {
    await this.#warden.halt()
    const { ok, chains } = await verifyDirectory(this.#warden.journalDirectory)
    const unfinished = chains.flatMap(({ running, lost }) => [...running.ids, ...lost.ids])
    if (!ok || unfinished.length > 0) throw this.#report(`journal: ${JSON.stringify(chains)}`)
  }

  get #exited(): boolean {
    return this.#warden.run !== undefined && this.#warden.run.process.exitCode !== null
  }

  async #backends(): Promise<number> {
    return this.#warden.asSuperuser(async (client) => {
      const { rows } = await client.query<{ count: number }>(
        `select count(*)::int from pg_stat_activity
         where datname = $1 and usename like 'pgw\\_%'`,
        [this.#warden.target.name],
      )
      return rows[0]?.count ?? 0
    })
  }

  #report(what: string, cause?: unknown): Error {
    const { stdout, stderr } = this.#warden.run ?? { stdout: '', stderr: '' }
    return new Error(`${what}\n${stdout.slice(-2_000)}\n${stderr.slice(-4_000)}`, { cause })
  }
}
