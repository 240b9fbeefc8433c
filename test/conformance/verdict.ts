// One check of one client, direct and through pgwarden: is it the same? Ignorant of how it was run.
// A client that fails everywhere says nothing about pgwarden, and neither does one that was not run:
// both are told apart from agreement.

import { checks, type Outcome, type Run } from './client.ts'

export type Verdict =
  | { readonly type: 'same' }
  | { readonly type: 'unsupported'; readonly why: string }
  | { readonly type: 'differs'; readonly direct: string; readonly through: string }
  /** Directly too, so that nothing was shown. */
  | { readonly type: 'fails directly'; readonly detail: string }
  | { readonly type: 'not run'; readonly why: string }

/** Of one way of connecting. */
export interface Pair {
  readonly direct: Run
  readonly through: Run
}

/** The checks that all clients have, then those of this one alone. */
export function checksOf(pairs: readonly Pair[]): readonly string[] {
  const names = new Set<string>(checks)
  for (const { direct, through } of pairs) {
    for (const run of [direct, through]) {
      if (run.type === 'ran') for (const check of run.outcomes.keys()) names.add(check)
    }
  }
  return [...names]
}

export function judge({ direct, through }: Pair, check: string): Verdict {
  if (direct.type === 'not run') return direct
  if (through.type === 'not run') return through
  const before = direct.outcomes.get(check)
  const after = through.outcomes.get(check)
  if (before?.result === 'failed') return { type: 'fails directly', detail: before.detail }
  if (before === undefined || before.result !== after?.result || before.detail !== after.detail) {
    return { type: 'differs', direct: describe(before), through: describe(after) }
  }
  return before.result === 'ok' ? { type: 'same' } : { type: 'unsupported', why: before.detail }
}

function describe(outcome: Outcome | undefined): string {
  return outcome === undefined ? 'not reported' : `${outcome.result}: ${outcome.detail}`
}
