// What the SQL of a query string has to do with names: PREPARE and DECLARE make them, DEALLOCATE and
// CLOSE take them away, EXECUTE and FETCH use them. They are the names of Parse and Bind: one made by
// either way carries the judgement of what it stands for. Ignorant of messages and bytes.

import type { Judgement } from '../policy/decision.ts'
import type { Statement } from '../sql/facts.ts'
import type { Portal, Prepared } from './execution.ts'
import type { NameChanges } from './pipeline.ts'
import type { SessionState } from './state.ts'

/** What a statement's EXECUTE and FETCH name, and what that names in turn. */
export interface Named {
  readonly statements: readonly string[]
  readonly portals: readonly string[]
  /** What stands behind the names, as far as it is known. */
  readonly judgements: readonly Judgement[]
  /** The names go on beyond that. */
  readonly tooDeep: boolean
}

const nothing: Named = { statements: [], portals: [], judgements: [], tooDeep: false }

/**
 * Names behind names. Nobody needs more than a few; thousands, and a query string that begins with them
 * again in each of its statements, would hold up everybody else.
 */
const deepest = 16

/** By what the names stand for now. */
export function namedBy(state: SessionState, judgement: Judgement): Named {
  if (judgement.executes.length === 0 && fetchesOf(judgement).length === 0) return nothing
  const statements = new Set<string>()
  const portals = new Set<string>()
  const judgements = new Set<Judgement>()
  let tooDeep = false
  // Only the query string itself can have several names: what is prepared is one statement.
  const follow = (from: Judgement, depth: number): void => {
    const fetches = fetchesOf(from)
    if (depth > deepest && from.executes.length + fetches.length > 0) {
      tooDeep = true
      return
    }
    const reach = (found: Judgement | undefined): void => {
      // A name can lead back to itself; the server says what it thinks of that.
      if (found === undefined || found === judgement || judgements.has(found)) return
      judgements.add(found)
      follow(found, depth + 1)
    }
    for (const name of from.executes) {
      statements.add(name)
      reach(state.statements.get(name)?.judgement)
    }
    for (const name of fetches) {
      portals.add(name)
      reach(state.portals.get(name)?.prepared.judgement)
    }
  }
  follow(judgement, 1)
  return {
    statements: [...statements],
    portals: [...portals],
    judgements: [...judgements],
    tooDeep,
  }
}

/** Whether it has statements that make names; ones that a session keeps until it is told otherwise. */
export function makesNames({ analysis }: Judgement): boolean {
  if (analysis.type !== 'parsed') return false
  return analysis.statements.some(({ prepares, declares }) => prepares ?? declares)
}

/** Announces what the statements of an allowed query string make of names, one for each of them. */
export function announceNames(
  state: SessionState,
  judgement: Judgement,
  group: number,
): readonly (NameChanges | undefined)[] {
  const { analysis } = judgement
  if (analysis.type !== 'parsed' || !analysis.statements.some(mayTouchNames)) return none
  return analysis.statements.map((statement) => {
    const run = inTheEnd(state, judgement, statement)
    if (!touchesNames(run.statement)) return undefined
    const { prepares, deallocates, declares, closes } = run.statement
    const prepared = prepares && standIn(run.judgement, prepares.statement)
    const portal = declares && cursor(run.judgement, declares)
    const statementName = prepares?.name ?? one(deallocates)
    const portalName = declares?.name ?? one(closes)
    return {
      statementChange:
        statementName === undefined
          ? undefined
          : state.statements.announce(statementName, prepared, group),
      portalChange:
        portalName === undefined ? undefined : state.portals.announce(portalName, portal, group),
    }
  })
}

const none: readonly never[] = []

/** Cursors and portals that it fetches from and has not declared itself before. */
function fetchesOf({ analysis }: Judgement): readonly string[] {
  if (analysis.type !== 'parsed' || !analysis.statements.some(({ fetches }) => fetches)) return none
  const declared = new Set<string>()
  const names = new Set<string>()
  for (const { declares, fetches } of analysis.statements) {
    if (fetches !== undefined && !declared.has(fetches)) names.add(fetches)
    if (declares !== undefined) declared.add(declares.name)
  }
  return [...names]
}

/** EXECUTE can name what Parse has prepared, and that can be a DECLARE, a PREPARE or another EXECUTE. */
function inTheEnd(
  state: SessionState,
  judgement: Judgement,
  statement: Statement,
): { readonly judgement: Judgement; readonly statement: Statement } {
  let run = { judgement, statement }
  // What goes on for longer has been refused.
  for (let depth = 1; depth <= deepest; depth++) {
    const { tag, executes } = run.statement
    // EXPLAIN EXECUTE runs none of those.
    if (tag !== 'EXECUTE' || executes === undefined) return run
    const prepared = state.statements.get(executes)?.judgement
    const [named] = prepared?.analysis.type === 'parsed' ? prepared.analysis.statements : none
    if (prepared === undefined || named === undefined) return run
    run = { judgement: prepared, statement: named }
  }
  return run
}

function mayTouchNames(statement: Statement): boolean {
  return touchesNames(statement) || statement.executes !== undefined
}

function touchesNames({ prepares, deallocates, declares, closes }: Statement): boolean {
  return (prepares ?? deallocates ?? declares ?? closes) !== undefined
}

/** DEALLOCATE ALL and the like name nothing: the server's answer tells. */
function one(name: string | undefined): string | undefined {
  return name === '*' ? undefined : name
}

function cursor(outer: Judgement, declares: NonNullable<Statement['declares']>): Portal {
  const prepared = standIn(outer, declares.statement)
  return { prepared, hold: declares.hold, execution: undefined }
}

/** What a name made by SQL stands for: the inner statement, judged as part of the whole. */
function standIn(outer: Judgement, statement: Statement): Prepared {
  return {
    judgement: {
      ...outer,
      text: statement.text,
      analysis: { type: 'parsed', statements: [statement], secrets: statement.secrets },
      tags: [statement.tag],
      class: statement.class,
      executes: [],
    },
    parameterTypes: [],
    judgedMs: 0,
  }
}
