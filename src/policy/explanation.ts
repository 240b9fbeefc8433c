// Everything that there is to say about a judgement, as plain data for a program or a page: the facts
// of each statement, what the role's rules make of them, and who may run it. Ignorant of how it is shown.

import type { Statement } from '../sql/facts.ts'
import type { Catalog } from './catalog.ts'
import type { Decision, Judgement } from './decision.ts'
import { classify, type FunctionKind } from './functions.ts'
import type { Policy } from './policy.ts'

export interface Explanation {
  readonly role: string
  readonly decision: Decision['outcome']
  readonly rule: string
  readonly reason: string
  /** What the client is answered; undefined when it is allowed. */
  readonly error:
    | {
        readonly sqlstate: string
        readonly message: string
        readonly detail: string | undefined
        readonly hint: string | undefined
      }
    | undefined
  /** In the configured order. */
  readonly allowedTo: readonly string[]
  readonly statements: readonly ExplainedStatement[]
}

interface ExplainedStatement extends Omit<Statement, 'functions'> {
  readonly functions: readonly (Statement['functions'][number] & { readonly kind: FunctionKind })[]
}

/** `decision` is the judgement's own, or a stricter one that its surroundings led to. */
export function explain(
  policy: Policy,
  role: string,
  judgement: Judgement,
  catalog: Catalog,
  decision: Decision = judgement.decision,
): Explanation {
  const { analysis } = judgement
  const statements = analysis.type === 'parsed' ? analysis.statements : []
  return {
    role,
    decision: decision.outcome,
    rule: decision.rule,
    reason: decision.reason,
    error: decision.outcome === 'deny' ? errorOf(decision.failure) : undefined,
    allowedTo: decision === judgement.decision ? policy.allowedTo(analysis, catalog) : [],
    statements: statements.map((statement) => ({
      ...statement,
      functions: statement.functions.map((use) => ({ ...use, kind: classify(use, catalog) })),
    })),
  }
}

function errorOf({ sqlstate, message, detail, hint }: DeniedWith): Explanation['error'] {
  return { sqlstate, message, detail, hint }
}

type DeniedWith = Extract<Decision, { outcome: 'deny' }>['failure']
