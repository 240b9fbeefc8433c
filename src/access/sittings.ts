// Keeps the sittings of one-time tokens alive while this process has sessions of them open. A sitting
// is a lease with an end in the store: when a process dies, its sittings lapse by themselves.
// Ignorant of logins (login.ts) and of what a session does.

import type { Clock } from '../clock.ts'
import type { TokenRules } from './token.ts'
import type { TokenStore } from './token-store.ts'

export class SittingKeeper {
  readonly #tokens: Pick<TokenStore, 'keepSittings'>
  readonly #clock: Clock
  readonly #rules: () => Pick<TokenRules, 'sittingGraceMs'>
  readonly #onProblem: (error: unknown) => void
  /** Open sessions by token. */
  readonly #open = new Map<string, number>()
  /** Tokens whose session closed since the last extension: the grace counts from the close. */
  #closed = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #extending: Promise<void> | undefined

  /** `onProblem` hears of extensions that failed; they are tried again with the next tick. */
  constructor(
    tokens: Pick<TokenStore, 'keepSittings'>,
    clock: Clock,
    rules: () => Pick<TokenRules, 'sittingGraceMs'>,
    onProblem: (error: unknown) => void,
  ) {
    this.#tokens = tokens
    this.#clock = clock
    this.#rules = rules
    this.#onProblem = onProblem
  }

  /** One coarse timer for all sessions; two ticks may fail before a sitting lapses. */
  start(): void {
    this.#timer = setTimeout(() => {
      this.#extend()
      this.start()
    }, this.#rules().sittingGraceMs / 3)
    this.#timer.unref()
  }

  /** Waits for what is under way. Sessions are expected to be closed before. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    while (this.#extending !== undefined) await this.#extending
  }

  /** A session began with this token, of whatever kind. Each call is paired with one closed(). */
  opened(tokenId: string): void {
    this.#open.set(tokenId, (this.#open.get(tokenId) ?? 0) + 1)
  }

  closed(tokenId: string): void {
    const sessions = this.#open.get(tokenId) ?? 0
    if (sessions > 1) this.#open.set(tokenId, sessions - 1)
    else this.#open.delete(tokenId)
    this.#closed.add(tokenId)
    this.#extend()
  }

  /** One statement at a time: a thousand sessions that close together make two, not a thousand. */
  #extend(): void {
    if (this.#extending !== undefined) return
    const closed = this.#closed
    const tokens = new Set([...closed, ...this.#open.keys()])
    if (tokens.size === 0) return
    this.#closed = new Set()
    let failed = false
    this.#extending = this.#tokens
      .keepSittings([...tokens], this.#clock.now() + this.#rules().sittingGraceMs)
      .catch((error: unknown) => {
        failed = true
        for (const tokenId of closed) this.#closed.add(tokenId)
        this.#onProblem(error)
      })
      .finally(() => {
        this.#extending = undefined
        if (this.#closed.size > 0 && !failed) this.#extend()
      })
  }
}
