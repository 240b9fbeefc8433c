// What policy/ answers, and nothing of how: the words between it and the session, the audit, the CLI.

import type { Failure } from '../errors.ts'
import type { Analysis, StatementClass } from '../sql/facts.ts'
import type { Remit } from './remit.ts'

interface Allow {
  readonly outcome: 'allow'
  /** The rule that decided, e.g. `read_only/commands`. */
  readonly rule: string
  readonly reason: string
}

export interface Deny {
  readonly outcome: 'deny'
  readonly rule: string
  /** What in the statement met the rule, e.g. `DELETE in common table expression "d"`. */
  readonly reason: string
  /** Ready for the client: 42501 (or 42601, 54000, ...), DETAIL with rule and reason, HINT with the way to more. */
  readonly failure: Failure
}

export type Decision = Allow | Deny

/** What a statement can be denied by: the end of `rule`, behind the role. */
export const ruleNames = [
  'commands',
  'context',
  'functions',
  'opaque',
  'parse',
  'prepared',
  'protocol',
  'relations',
  'settings',
  'undefined',
] as const

export type RuleName = (typeof ruleNames)[number]

/** For whoever counts: nothing in it comes from a role's name or a client's text. */
export function ruleName(rule: string): RuleName | 'other' {
  return ruleNames.find((name) => rule.endsWith(`/${name}`)) ?? 'other'
}

/** A query string, what it is, and whether the role may run it. Immutable, so it can be remembered. */
export interface Judgement {
  /** Whom it was judged for: by another remit, or another catalog, it must be judged again. */
  readonly remit: Remit
  /** The query string, decoded. */
  readonly text: string
  readonly analysis: Analysis
  readonly decision: Decision
  /** Of parameters, by number, as a message gave them beside the text; the server's own left out. */
  readonly parameterTypes: readonly number[]
  /** Top-level command tags in order; empty when there are no statements or the text is unparsable. */
  readonly tags: readonly string[]
  /** The class of the highest effect in it: MISC for an empty or unparsable string. */
  readonly class: StatementClass
  /**
   * Names that EXECUTE uses and no PREPARE of the same string defines first. The session must know
   * each of them, or the whole string is denied: its text cannot be known.
   */
  readonly executes: readonly string[]
  /**
   * It calls code that is not the server's own, as far as the text and the catalog show: such code
   * may change settings behind our back.
   */
  readonly runsUserCode: boolean
  /** It may change what a catalog snapshot holds: DDL, or code that may contain it. */
  readonly changesCatalog: boolean
  /** Of the catalog that it was judged by. */
  readonly catalogVersion: number
}
