// A database login of pgwarden's own that Vault keeps, so that no configuration holds its password: what
// the monitor of a target logs in with. The last one serves while Vault is away. Ignorant of what is done
// with it.

import type { Clock } from '../../clock.ts'
import { issueLease, revokeLease } from './dynamic.ts'
import { readKv } from './kv.ts'
import type { DatabaseLogin, VaultLogin } from './login.ts'
import { failureOf, VaultProblem } from './problem.ts'
import { readStatic } from './static.ts'
import type { VaultToken } from './tokens.ts'
import type { Vault } from './vault.ts'

export interface OwnLoginOptions {
  readonly vault: Vault
  readonly clock: Clock
  readonly login: VaultLogin & { readonly engine: 'dynamic' | 'static' | 'kv' }
}

interface Held extends DatabaseLogin {
  /** By the clock: until then Vault need not be asked. */
  readonly freshUntil: number
  /** By the clock: from then on it is no good. */
  readonly endsAt: number
  readonly leaseId: string
  /** A lease ends with the token that it was asked with. */
  readonly token: VaultToken | undefined
}

/** Whoever waits for the monitor waits for more than this one answer. */
const patience = { waitMs: 2_000 }

export class OwnLogin {
  readonly #options: OwnLoginOptions
  #held: Held | undefined
  #asking: Promise<Held> | undefined

  constructor(options: OwnLoginOptions) {
    this.#options = options
  }

  /** Asked for at every connection; those of one moment share an answer. @throws Failure */
  async current(): Promise<DatabaseLogin> {
    const now = this.#options.clock.elapsed()
    const held = this.#held
    if (held !== undefined && now < Math.min(held.freshUntil, held.token?.endsAt ?? now + 1)) {
      return held
    }
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    return this.#asking.catch((error: unknown) => {
      if (!(error instanceof VaultProblem)) throw error
      if (held !== undefined && now < held.endsAt) return held
      throw failureOf(error)
    })
  }

  /** Gives back the lease of a dynamic role. Never rejects: what cannot be given back runs out. */
  async stop(): Promise<void> {
    await this.#asking?.catch(() => undefined)
    const lease = this.#held?.leaseId ?? ''
    this.#held = undefined
    if (lease === '') return
    await revokeLease(this.#options.vault, lease, { waitMs: 0 }).catch(() => undefined)
  }

  async #ask(): Promise<Held> {
    const { vault, clock, login } = this.#options
    const asked = clock.elapsed()
    if (login.engine === 'dynamic') this.#held = await this.#issue(asked)
    else {
      const read = login.engine === 'static' ? readStatic : readKv
      const told = await read(vault, login, patience)
      this.#held = {
        ...told,
        freshUntil: asked,
        endsAt: asked + told.lifeMs,
        leaseId: '',
        token: undefined,
      }
    }
    return this.#held
  }

  /** The lease before is not given back: connections with it may be at work. It runs out soon. */
  async #issue(asked: number): Promise<Held> {
    const { vault, login } = this.#options
    const lease = await issueLease(vault, login, patience)
    const { leaseMs } = lease
    return { ...lease, freshUntil: asked + (leaseMs * 2) / 3, endsAt: asked + leaseMs }
  }
}
