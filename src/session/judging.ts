// Whether a session's texts may run: the policy's judgement, at once or, of a long text, when it is
// there; and what only the session knows: the grant's end, the names that EXECUTE uses, and whether the
// server can still read the text as it was judged. Ignorant of frames.

import { isAscii } from 'node:buffer'
import { holdsFor } from '../policy/decide.ts'
import type { Deny, Judgement } from '../policy/decision.ts'
import type { Named } from './sql-names.ts'
import type { SessionState } from './state.ts'

/** A long text that is being judged. */
interface Pending {
  readonly text: Buffer
  /** Clock.elapsed() when it was asked for. */
  readonly since: number
  /** Returns what came of it, once it has come. */
  result: (() => Judgement) | undefined
  /** Tells whoever judges it that the session is over. */
  readonly gone: AbortController
}

export class Judging {
  readonly #state: SessionState
  /** One at most: the client is not read from until its text has been judged. */
  #pending: Pending | undefined
  /** Judgements by older rules or an older state of the catalog, and what they are now. */
  readonly #renewed = new WeakMap<Judgement, Judgement>()
  /** The Sync group in which user code was last sent to run. */
  #userCodeIn = -1

  constructor(state: SessionState) {
    this.#state = state
  }

  /** Whether `judge` would say something about the text that it was last asked for. */
  readonly ready = (): boolean => this.#pending?.result !== undefined

  /**
   * The judgement; undefined when it is to come. The port is told when it has, and the same text must
   * be asked for again. It is kept until `taken`, since there may be more to wait for.
   */
  judge(text: Buffer): Judgement | undefined {
    const pending = this.#pending
    // First: the rules, and what is long by them, may have changed since it was asked for.
    if (pending?.text.equals(text) === true) return pending.result?.()
    const { policy, remit } = this.#state.rules
    if (!policy.isLong(text)) return policy.judge(remit, text, this.#state.options.catalog())
    this.#judgeLong(text)
    return undefined
  }

  /** Clock.elapsed() when judging began of the text that is asked for, or asked for again. */
  get since(): number {
    return this.#pending?.since ?? this.#state.options.clock.elapsed()
  }

  /** Whether a text is held here and not judged yet. */
  get holds(): boolean {
    return this.#pending !== undefined && this.#pending.result === undefined
  }

  /** The client does not want the text that is held to run: it is judged as canceled, at once. */
  cancel(): void {
    const pending = this.#pending
    if (pending === undefined) return
    pending.result = () => {
      const { policy, remit } = this.#state.rules
      return policy.canceled(remit, pending.text)
    }
    pending.gone.abort()
    this.#state.options.port.judged()
  }

  /** The text that was asked for last needs no judgement any more. */
  taken(): void {
    this.#pending = undefined
  }

  /** The session is over: what is being judged for it is given up. */
  close(): void {
    this.#pending?.gone.abort()
    this.#pending = undefined
  }

  /** The decision to deny by, if the role may not run the statement. Throws when the grant is over. */
  denial(judgement: Judgement): Deny | undefined {
    const { decision } = this.#current(judgement)
    if (decision.outcome === 'deny') return decision
    const { authorization, clock } = this.#state.options
    const ended = authorization.endedAt(clock.now())
    if (ended !== undefined) throw ended
    return undefined
  }

  /** The same for a statement that is to run now: what EXECUTE names must be known besides. */
  refusal(judgement: Judgement, named: Named): Deny | undefined {
    const { statements } = this.#state
    const { policy, remit } = this.#state.rules
    for (const run of [judgement, ...named.judgements]) {
      const denied = this.denial(run)
      if (denied !== undefined) return denied
    }
    if (named.tooDeep) return policy.namesTooDeep(remit)
    const unknown = named.statements.find((name) => statements.get(name) === undefined)
    return unknown === undefined ? undefined : policy.unknownPrepared(remit, unknown)
  }

  /** These are sent to run, one by another, in a Sync group. */
  noteRun(judgements: readonly Judgement[], group: number): void {
    const userCode = judgements.some((judgement) => this.#current(judgement).runsUserCode)
    if (userCode) this.#userCodeIn = group
  }

  /**
   * Whether the server has reported all settings that the text's meaning hangs on. It does so with
   * ReadyForQuery only, and a function in the database can call set_config where nobody sees it: the
   * text would be another one for the server than the one that was judged.
   */
  settled(text: Buffer): boolean {
    return !this.#state.pipeline.owesReady || !hangsOnSettings(text)
  }

  /** The decision to deny by a text for which there will be no such report before it is read. */
  unsettled(text: Buffer | undefined, group: number): Deny | undefined {
    if (text === undefined || this.#userCodeIn !== group || !hangsOnSettings(text)) return undefined
    const { policy, remit } = this.#state.rules
    return policy.behindUserCode(remit)
  }

  /**
   * What was prepared long ago may name a function that is another one by now, or be what the session
   * may not do any more.
   */
  #current(judgement: Judgement): Judgement {
    const { policy, remit } = this.#state.rules
    const catalog = this.#state.options.catalog()
    if (holdsFor(judgement, remit, catalog)) return judgement
    const renewed = this.#renewed.get(judgement)
    if (renewed !== undefined && holdsFor(renewed, remit, catalog)) return renewed
    const again = policy.judgeAgain(remit, judgement, catalog)
    this.#renewed.set(judgement, again)
    return again
  }

  #judgeLong(text: Buffer): void {
    const { policy, remit } = this.#state.rules
    const { catalog, port, clock } = this.#state.options
    const pending: Pending = {
      text,
      since: clock.elapsed(),
      result: undefined,
      gone: new AbortController(),
    }
    this.#pending = pending
    const settle = (result: () => Judgement): void => {
      if (this.#pending !== pending || pending.result !== undefined) return
      pending.result = result
      port.judged()
    }
    policy.judgeLong(remit, text, catalog, pending.gone.signal).then(
      (judgement) => settle(() => judgement),
      (error: unknown) =>
        settle(() => {
          throw error
        }),
    )
  }
}

/**
 * standard_conforming_strings and client_encoding, which the server reports, change what a backslash and
 * bytes beyond ASCII mean, and nothing else does. backslash_quote, which it does not report, no role may
 * set; off, it makes the server refuse a \' that was judged as a quote, and never read it otherwise.
 */
function hangsOnSettings(text: Buffer): boolean {
  return text.includes(0x5c) || !isAscii(text)
}
