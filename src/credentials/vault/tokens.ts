// The life of our Vault token: obtained once for all who wait for it, renewed at two thirds of its life,
// obtained afresh when it cannot be renewed or is no good any more, given back at the stop. The token
// before it is left to end by itself: Vault revokes with a token every lease that it was issued.
// Ignorant of the way to a token and of what it is used for.

import type { Clock } from '../../clock.ts'
import type { Secret } from '../../secret.ts'
import type { Authentication, Granted } from './authentication.ts'
import { Breaker } from './breaker.ts'
import type { VaultObserver } from './observer.ts'
import { VaultProblem } from './problem.ts'
import type { Ask } from './question.ts'

/** A Vault token, without the token. */
export interface VaultToken {
  /** By Clock.elapsed(): when it ends unless it is renewed; undefined: never. Moves when it is renewed. */
  readonly endsAt: number | undefined
}

export interface HeldToken extends VaultToken {
  readonly secret: Secret
}

interface TokensOptions {
  readonly authentication: Authentication
  readonly ask: Ask
  readonly clock: Clock
  readonly observer: VaultObserver
  readonly random: () => number
}

/** A HeldToken as its keeper sees it. */
interface Own extends HeldToken {
  endsAt: number | undefined
  readonly fullMs: number
  readonly renewable: boolean
}

/** How often a file is looked at whose token may have been exchanged. */
const lookEveryMs = 1_000
/** Timers of Node end at 24 days, and an early renewal does no harm. */
const longestPauseMs = 7 * 86_400_000
/** A life that cannot be prolonged is not halved down to nothing. */
const shortestPauseMs = 500
const retryFromMs = 1_000
const retryAtMostMs = 30_000
/** Answers to renewals are rounded to seconds, and take their time. */
const nearlyFull = 0.9

export class Tokens {
  readonly #options: TokensOptions
  /** A login that was refused is not repeated for every client: Vault locks out whoever guesses. */
  readonly #refusals: Breaker
  #token: Own | undefined
  /** Ours, replaced, and not ended yet. */
  #superseded: Own[] = []
  #obtaining: Promise<HeldToken> | undefined
  #verifying: Promise<HeldToken> | undefined
  #lookedAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #failures = 0
  #stopped = false

  constructor(options: TokensOptions) {
    this.#options = options
    this.#refusals = new Breaker({
      clock: options.clock,
      after: 1,
      firstPauseMs: 10_000,
      longestPauseMs: 300_000,
      shows: (error) =>
        error instanceof VaultProblem && error.kind === 'unauthenticated' ? 'dead' : 'nothing',
      refusal: (last) =>
        new VaultProblem(
          'unauthenticated',
          `not tried again yet${last instanceof Error ? `, after: ${last.message}` : ''}`,
        ),
    })
  }

  /** Obtains a token now, and sees to it that there is one from here on. */
  start(): void {
    this.#tryObtaining()
  }

  /** The tokens that were made for us are revoked, all at once. Never rejects. */
  async stop(ask: Ask): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#obtaining?.catch(() => undefined)
    if (!this.#options.authentication.makesTokens) return
    const ours = [...this.#superseded, ...(this.#token === undefined ? [] : [this.#token])]
    await Promise.allSettled(
      ours
        .filter((token) => !this.#isOver(token))
        .map(({ secret }) =>
          ask({ method: 'POST', path: 'auth/token/revoke-self', token: secret }),
        ),
    )
  }

  /** The one in use, good or not. */
  get held(): VaultToken | undefined {
    return this.#token
  }

  /** @throws VaultProblem; `unauthenticated` when there is no token for us. */
  async current(): Promise<HeldToken> {
    const token = this.#token
    if (token === undefined || this.#isOver(token)) return this.#obtain()
    if (!(await this.#isExchanged())) return token
    return this.#obtain().catch((error: unknown) => {
      this.#options.observer.problem(error)
      return token
    })
  }

  /**
   * After Vault has refused something to this token: the same when it is good and merely may not do
   * that, else another. @throws VaultProblem
   */
  afterRefusal(refused: HeldToken): Promise<HeldToken> {
    this.#verifying ??= this.#verified(refused).finally(() => {
      this.#verifying = undefined
    })
    return this.#verifying
  }

  async #verified(refused: HeldToken): Promise<HeldToken> {
    if (refused !== this.#token) return this.current()
    try {
      await this.#options.ask({
        method: 'GET',
        path: 'auth/token/lookup-self',
        token: refused.secret,
      })
      return refused
    } catch (error) {
      if (!(error instanceof VaultProblem) || error.kind !== 'denied') throw error
      return this.#obtain()
    }
  }

  #obtain(): Promise<HeldToken> {
    this.#obtaining ??= this.#obtainUnlessRefused().finally(() => {
      this.#obtaining = undefined
    })
    return this.#obtaining
  }

  async #obtainUnlessRefused(): Promise<HeldToken> {
    if (this.#refusals.isOpen && (await this.#hasAnother())) this.#refusals.reset()
    return this.#refusals.run(() => this.#obtainOnce())
  }

  async #obtainOnce(): Promise<HeldToken> {
    const { authentication, ask, clock } = this.#options
    if (this.#stopped) throw new VaultProblem('unreachable', 'pgwarden is stopping')
    const askedAt = clock.elapsed()
    try {
      const granted = await authentication.obtain(ask)
      return this.#hold(granted, askedAt)
    } catch (error) {
      throw asUnauthenticated(error, authentication.name)
    }
  }

  #hold({ token: secret, leftMs, fullMs, renewable }: Granted, askedAt: number): HeldToken {
    const endsAt = leftMs === undefined ? undefined : askedAt + leftMs
    this.#failures = 0
    if (this.#token?.secret.reveal() === secret.reveal()) {
      // The same object, so that those who have it see its end move.
      this.#token.endsAt = endsAt
    } else {
      this.#superseded = this.#superseded.filter((one) => !this.#isOver(one))
      if (this.#token !== undefined) this.#superseded.push(this.#token)
      this.#token = { secret, endsAt, fullMs, renewable }
    }
    this.#keep(this.#token)
    return this.#token
  }

  /** From here on it is renewed in time. */
  #keep(token: Own): void {
    const { clock, observer, random } = this.#options
    const left = token.endsAt === undefined ? undefined : token.endsAt - clock.elapsed()
    observer.tokenEnds(left === undefined ? undefined : clock.now() + left)
    if (left === undefined) return
    // Replicas that were started together should not come back together.
    const spread = 0.9 + 0.2 * random()
    this.#in((2 / 3) * left * spread, () => this.#renew(token))
  }

  #renew(token: Own): void {
    // Another may have taken its place at any moment, and has the timer then.
    const isCurrent = (): boolean => token === this.#token
    if (!isCurrent()) return
    void this.#renewed(token)
      .then((isFull) => {
        if (!isCurrent()) return
        this.#failures = 0
        if (isFull) this.#keep(token)
        else this.#tryObtaining()
      })
      .catch((error: unknown) => {
        if (isCurrent()) this.#tryAgain(error, () => this.#renew(token))
      })
  }

  /** Whether it has its full life again: what is capped once gets shorter with every renewal. */
  async #renewed(token: Own): Promise<boolean> {
    if (!token.renewable) return false
    const { ask, clock } = this.#options
    const askedAt = clock.elapsed()
    try {
      const { auth } = await ask({
        method: 'POST',
        path: 'auth/token/renew-self',
        token: token.secret,
      })
      if (auth === undefined || auth.leaseMs === 0) return false
      token.endsAt = askedAt + auth.leaseMs
      return auth.leaseMs >= token.fullMs * nearlyFull
    } catch (error) {
      const refusals = ['denied', 'invalid', 'missing']
      if (error instanceof VaultProblem && refusals.includes(error.kind)) return false
      throw error
    }
  }

  /** In the background. A given token that nobody has exchanged stays what it is, and is looked at again. */
  #tryObtaining(): void {
    const { authentication, observer } = this.#options
    const before = this.#token
    void this.#obtain()
      .then(() => {
        if (before === undefined || before !== this.#token) return
        observer.problem(
          new VaultProblem('unauthenticated', `${authentication.name} ends and is not renewed`),
        )
      })
      .catch((error: unknown) => this.#tryAgain(error, () => this.#tryObtaining()))
  }

  #tryAgain(error: unknown, work: () => void): void {
    if (this.#stopped) return
    this.#options.observer.problem(error)
    const pause = Math.min(retryFromMs * 2 ** Math.min(this.#failures, 10), retryAtMostMs)
    this.#failures += 1
    this.#in(pause * (0.5 + 0.5 * this.#options.random()), work)
  }

  #in(ms: number, work: () => void): void {
    clearTimeout(this.#timer)
    if (this.#stopped) return
    this.#timer = setTimeout(work, Math.min(Math.max(ms, shortestPauseMs), longestPauseMs))
    this.#timer.unref()
  }

  #isOver({ endsAt }: VaultToken): boolean {
    return endsAt !== undefined && endsAt <= this.#options.clock.elapsed()
  }

  async #isExchanged(): Promise<boolean> {
    const { authentication, clock } = this.#options
    // What we log in with may change every hour; the token from a login is good all the same.
    if (authentication.makesTokens) return false
    if (clock.elapsed() - this.#lookedAt < lookEveryMs) return false
    this.#lookedAt = clock.elapsed()
    return this.#hasAnother()
  }

  /** A file that cannot be read for a moment takes nobody's token away. */
  #hasAnother(): Promise<boolean> {
    return this.#options.authentication.hasAnother().catch(() => false)
  }
}

/** A refused login is not one of what the login was for. */
function asUnauthenticated(error: unknown, name: string): unknown {
  if (!(error instanceof VaultProblem)) return error
  switch (error.kind) {
    case 'denied':
    case 'invalid':
    case 'missing':
    case 'unauthenticated':
      return new VaultProblem('unauthenticated', `${name}: ${error.message}`)
    case 'unreachable':
    case 'sealed':
    case 'standby':
    case 'throttled':
    case 'failing':
      return error
  }
}
