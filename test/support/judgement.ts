// A judgement without a policy: what the records are made of.

import type { Judgement } from '../../src/policy/decision.ts'
import type { RelationUse } from '../../src/sql/facts.ts'

export function judgementOf(
  text: string,
  {
    relations = [],
    ...change
  }: Partial<Judgement> & { readonly relations?: readonly RelationUse[] } = {},
): Judgement {
  return {
    remit: { role: 'read_only', may: undefined, others: new Map() },
    text,
    analysis: {
      type: 'parsed',
      statements: [
        {
          ...{ tag: 'SELECT', class: 'READ', text, relations, actions: [], functions: [] },
          ...{ settings: [], operators: [], types: [], copies: [], declares: undefined },
          ...{ closes: undefined, fetches: undefined, prepares: undefined, executes: undefined },
          ...{ deallocates: undefined, opaque: undefined, secretParameters: false, secrets: [] },
        },
      ],
      secrets: [],
    },
    decision: { outcome: 'allow', rule: 'read_only/commands', reason: 'SELECT is allowed' },
    tags: ['SELECT'],
    class: 'READ',
    executes: [],
    runsUserCode: false,
    changesCatalog: false,
    parameterTypes: [],
    catalogVersion: 0,
    ...change,
  }
}
