// Everything that there is to say about a query string, as plain data for a program or a page: the facts
// of each statement, what the role's rules make of them, and who may run it. Ignorant of how it is shown.

import type { Failure } from '../errors.ts'
import type { Statement } from '../sql/facts.ts'
import type { Catalog } from './catalog.ts'
import type { Decision } from './decision.ts'
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

/** Of a text that is the first of a new session. */
export function explain(policy: Policy, role: string, text: string, catalog: Catalog): Explanation {
  const judgement = policy.judgeText(role, text, catalog)
  const decision = policy.decisionAlone(role, judgement)
  const { analysis } = judgement
  const statements = analysis.type === 'parsed' ? analysis.statements : []
  return {
    role,
    decision: decision.outcome,
    rule: decision.rule,
    reason: decision.reason,
    error: decision.outcome === 'deny' ? errorOf(decision.failure) : undefined,
    allowedTo: policy.roles().filter((other) => {
      const judged = policy.judgeText(other, text, catalog)
      return policy.decisionAlone(other, judged).outcome === 'allow'
    }),
    statements: statements.map((statement) => ({
      ...statement,
      functions: statement.functions.map((use) => ({ ...use, kind: classify(use, catalog) })),
    })),
  }
}

function errorOf({ sqlstate, message, detail, hint }: Failure): Explanation['error'] {
  return { sqlstate, message, detail, hint }
}
