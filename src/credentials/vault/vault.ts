// Vault, as the rest of pgwarden asks it: by path, with a token that is seen to, again after what may
// pass, and never for longer than it was given. Ignorant of engines, of leases after they were issued,
// and of grants.
// Vault's documentation: "HTTP API"; OpenBao speaks the same.

import type { Clock } from '../../clock.ts'
import { type AuthSettings, authentication } from './authentication.ts'
import { Breaker } from './breaker.ts'
import { Lanes } from './lanes.ts'
import type { VaultObserver } from './observer.ts'
import { patiently } from './patience.ts'
import { failureOf, isOutage, VaultProblem } from './problem.ts'
import { type Question, vaultServer } from './question.ts'
import { Servers } from './servers.ts'
import { type HeldToken, Tokens, type VaultToken } from './tokens.ts'
import { openTransport, type Transport, type VaultTls } from './transport.ts'

export interface VaultSettings {
  /** Scheme, host and port of each server, in the order in which they are tried. */
  readonly addresses: readonly string[]
  readonly namespace: string | undefined
  readonly tls: VaultTls
  readonly auth: AuthSettings
  /** For one question, whichever server answers it. */
  readonly timeoutMs: number
  /** How long what may pass is tried again, where nothing else is said. */
  readonly waitForMs: number
}

export interface VaultResponse {
  /** `data` of the answer; {} where there is none. */
  readonly data: Readonly<Record<string, unknown>>
  /** '' where the answer is no lease. */
  readonly leaseId: string
  /** Milliseconds; 0 where there is none. */
  readonly leaseMs: number
  readonly renewable: boolean
  /** The token it was asked with: Vault revokes what a token was issued when the token ends. */
  readonly token: VaultToken
}

export interface Patience {
  /** How long to try again what may pass; 0 for once. The configured time by default. */
  readonly waitMs?: number
  /** Ends the waiting. A question that is under way may be obeyed all the same. */
  readonly signal?: AbortSignal
}

export interface Vault {
  /** The one in use; undefined while there is none yet. */
  readonly token: VaultToken | undefined
  /** Logs in soon, and keeps the token. */
  start(): void
  /** Gives back a token that was made for us, and with it every lease issued on it. Takes 2 s at most. */
  stop(): Promise<void>
  /**
   * `path` without /v1/, e.g. `database/creds/shop-ro`. What may pass (no connection, sealed, standby,
   * throttled, failing) is tried again within the patience. What was sent and not answered is not: to
   * read credentials issues a lease, and it may have been issued. The problem is `unanswered` then, and
   * the caller decides. Takes at most the patience and, for the last attempt, the time of a question
   * (and a second for a sign of life), twice where a login or others' questions come before it.
   * @throws VaultProblem, or the reason of the signal.
   */
  read(path: string, patience?: Patience): Promise<VaultResponse>
  /** A POST; like read(). */
  write(path: string, body: object, patience?: Patience): Promise<VaultResponse>
  /** That Vault answers, is unsealed and takes our token. @throws Failure that names no internals. */
  check(): Promise<void>
}

export interface VaultOptions {
  readonly clock: Clock
  readonly observer: VaultObserver
  /** From 0 to 1; for the spread of retries and renewals. */
  readonly random?: () => number
}

const giveBackWithinMs = 2_000

/** @throws Failure invalid_configuration for certificates that cannot be used. */
export function openVault(settings: VaultSettings, options: VaultOptions): Vault {
  return new VaultClient(settings, options, openTransport(settings.tls))
}

export class VaultClient implements Vault {
  readonly #clock: Clock
  readonly #random: () => number
  readonly #transport: Transport
  readonly #servers: Servers
  readonly #tokens: Tokens
  readonly #timeoutMs: number
  readonly #waitForMs: number
  readonly #lanes = new Lanes()
  readonly #breaker: Breaker
  #checking: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  constructor(
    { addresses, namespace, auth, timeoutMs, waitForMs }: VaultSettings,
    { clock, observer, random = Math.random }: VaultOptions,
    transport: Transport,
  ) {
    this.#clock = clock
    this.#random = random
    this.#transport = transport
    this.#timeoutMs = timeoutMs
    this.#waitForMs = waitForMs
    this.#servers = new Servers({
      servers: addresses.map((address) => vaultServer(address, namespace, transport)),
      timeoutMs,
      clock,
      observer,
    })
    this.#breaker = new Breaker({
      clock,
      after: 5,
      firstPauseMs: 1_000,
      longestPauseMs: 5_000,
      shows: (error) => {
        if (!(error instanceof VaultProblem)) return 'nothing'
        // A login that is refused may have been so by a file that is not there; a crowd may be ours alone.
        if (error.kind === 'unauthenticated' || error.kind === 'throttled') return 'nothing'
        return isOutage(error) ? 'dead' : 'alive'
      },
      refusal: notAskedAgain,
      onChange: (isOpen) => observer.breaker(isOpen),
    })
    this.#tokens = new Tokens({
      authentication: authentication(auth),
      ask: (question) => this.#servers.ask(question),
      clock,
      observer,
      random,
    })
  }

  get token(): VaultToken | undefined {
    return this.#tokens.held
  }

  start(): void {
    this.#tokens.start()
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    // Whatever is under way ends now.
    this.#transport.close()
    const signal = AbortSignal.timeout(giveBackWithinMs)
    await this.#tokens.stop((question) => this.#servers.ask({ ...question, signal }))
    this.#transport.close()
  }

  read(path: string, patience: Patience = {}): Promise<VaultResponse> {
    return this.#persistently({ method: 'GET', path, signal: patience.signal }, patience)
  }

  write(path: string, body: object, patience: Patience = {}): Promise<VaultResponse> {
    return this.#persistently({ method: 'POST', path, body, signal: patience.signal }, patience)
  }

  /** One at a time: whoever asks for our health must not be able to keep Vault busy. */
  check(): Promise<void> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined
    })
    return this.#checking
  }

  async #check(): Promise<void> {
    try {
      await this.#breaker.run(() => this.#once({ method: 'GET', path: 'auth/token/lookup-self' }))
    } catch (error) {
      throw error instanceof VaultProblem ? failureOf(error) : error
    }
  }

  /** The breaker counts those who have waited in vain, and turns away those who come after them. */
  #persistently(question: Question, patience: Patience): Promise<VaultResponse> {
    return this.#breaker.run(() =>
      patiently(() => this.#once(question), {
        patienceMs: patience.waitMs ?? this.#waitForMs,
        clock: this.#clock,
        random: this.#random,
        signal: patience.signal,
      }),
    )
  }

  async #once(question: Question): Promise<VaultResponse> {
    if (this.#stopped !== undefined) throw new VaultProblem('unreachable', 'pgwarden is stopping')
    const token = await this.#tokens.current()
    question.signal?.throwIfAborted()
    try {
      return await this.#asked(question, token)
    } catch (error) {
      if (!(error instanceof VaultProblem) || error.kind !== 'denied') throw error
      const other = await this.#tokens.afterRefusal(token)
      if (other === token) throw error
      return this.#asked(question, other)
    }
  }

  async #asked(question: Question, token: HeldToken): Promise<VaultResponse> {
    const answer = await this.#lanes.run(laneOf(question), this.#timeoutMs, question.signal, () =>
      this.#servers.ask({ ...question, token: token.secret }),
    )
    const { data, leaseId, leaseMs, renewable } = answer
    return { data, leaseId, leaseMs, renewable, token }
  }
}

/** What is asked of one role of Vault is done by one database. Its logins do not stand behind revocations. */
function laneOf({ path, body = {} }: Question): string {
  if (!('lease_id' in body) || typeof body.lease_id !== 'string') return path
  return `${path} ${body.lease_id.slice(0, body.lease_id.lastIndexOf('/'))}`
}

function notAskedAgain(last: unknown): VaultProblem {
  return last instanceof VaultProblem
    ? new VaultProblem(last.kind, `not asked again yet, after: ${last.message}`)
    : new VaultProblem('unreachable', 'not asked again yet')
}
