// What the SQL of a query string has to do with names: PREPARE and DECLARE make them, DEALLOCATE and
// CLOSE take them away, FETCH uses them. They are the names of Parse and Bind: one made by either way
// carries the judgement of what it stands for. Ignorant of messages and bytes.

import type { Judgement } from '../policy/decision.ts'
import type { Statement } from '../sql/facts.ts'
import type { Portal, Prepared } from './execution.ts'
import type { NameChanges } from './pipeline.ts'
import type { SessionState } from './state.ts'

const none: readonly never[] = []

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
  if (analysis.type !== 'parsed' || !analysis.statements.some(touchesNames)) return none
  return analysis.statements.map((statement) => {
    if (!touchesNames(statement)) return undefined
    const { prepares, deallocates, declares, closes } = statement
    const prepared = prepares && standIn(judgement, prepares.statement)
    const portal = declares && cursor(judgement, declares)
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

/** Cursors and portals that it fetches from and has not declared itself before. */
export function fetchesOf({ analysis }: Judgement): readonly string[] {
  if (analysis.type !== 'parsed' || !analysis.statements.some(({ fetches }) => fetches)) return none
  const declared = new Set<string>()
  const names = new Set<string>()
  for (const { declares, fetches } of analysis.statements) {
    if (fetches !== undefined && !declared.has(fetches)) names.add(fetches)
    if (declares !== undefined) declared.add(declares.name)
  }
  return [...names]
}

/** The judgements on what its EXECUTE and FETCH run and its own text does not show, as far as known. */
export function runsOf(state: SessionState, judgement: Judgement): readonly Judgement[] {
  const fetches = fetchesOf(judgement)
  if (judgement.executes.length === 0 && fetches.length === 0) return none
  const prepared = judgement.executes.map((name) => state.statements.get(name))
  const fetched = fetches.map((name) => state.portals.get(name)?.prepared)
  return [...prepared, ...fetched].flatMap((found) => (found === undefined ? [] : found.judgement))
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
      analysis: { type: 'parsed', statements: [statement] },
      tags: [statement.tag],
      class: statement.class,
      executes: [],
    },
  }
}
