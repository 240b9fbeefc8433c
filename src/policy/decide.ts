// From facts to a judgement: what a query string would do, by what a role may do on a catalog. One
// statement that is denied denies them all. Ignorant of bytes, and of what was judged before.

import { heaviest } from '../sql/commands.ts'
import type { Analysis, Parsed } from '../sql/facts.ts'
import type { Catalog } from './catalog.ts'
import type { Decision, Judgement } from './decision.ts'
import { objectionTo, objectionToCarriers, parameterCarriers, runsUserCode } from './judge.ts'
import type { Carrier, Objection } from './objection.ts'
import type { Permissions } from './permissions.ts'
import type { Remit } from './remit.ts'
import { objectionToParameters } from './unseen.ts'
import { denial, unknownRole, unreadable, type WayToMore } from './wording.ts'

/** `parameterTypes` are those of parameters that a message gives beside the text, by number. */
export function decide(
  remit: Remit,
  text: string,
  analysis: Analysis,
  catalog: Catalog,
  parameterTypes: readonly number[] = [],
): Judgement {
  const parameters = parameterCarriers(parameterTypes, catalog)
  const statements = analysis.type === 'parsed' ? analysis.statements : []
  return {
    remit,
    text,
    analysis,
    parameterTypes,
    decision: decisionOn(remit, analysis, parameters, catalog),
    tags: statements.map((statement) => statement.tag),
    class: heaviest(statements.map((statement) => statement.class)),
    executes: executesOf(statements),
    runsUserCode:
      parameters.length > 0 || statements.some((statement) => runsUserCode(statement, catalog)),
    changesCatalog: statements.some(changesCatalog),
    catalogVersion: catalog.version,
  }
}

/** Whether judging again would say the same. */
export function holdsFor(judgement: Judgement, remit: Remit, catalog: Catalog): boolean {
  return judgement.remit === remit && judgement.catalogVersion === catalog.version
}

function decisionOn(
  remit: Remit,
  analysis: Analysis,
  parameters: readonly Carrier[],
  catalog: Catalog,
): Decision {
  const { role, may } = remit
  if (may === undefined) return unknownRole(role)
  if (analysis.type === 'unparsable') return unreadable(role, analysis)
  const objectionOf = (to: Permissions): Objection | undefined =>
    firstObjection(analysis, to, catalog) ??
    objectionToCarriers(parameters, to) ??
    objectionToParameters(parameters, to, catalog)
  const objection = objectionOf(may)
  if (objection !== undefined) {
    return denial(
      role,
      objection,
      wayToMore(remit, (other) => objectionOf(other) === undefined),
    )
  }
  const commands = analysis.statements.flatMap((s) => s.actions.map((action) => action.command))
  const reason =
    commands.length === 0
      ? 'there is no statement'
      : `allowed: ${[...new Set(commands)].join(', ')}`
  return { outcome: 'allow', rule: `${role}/commands`, reason }
}

/** The first role that would do, in the same place. */
export function wayToMore(
  { role, others }: Remit,
  allows: (permissions: Permissions) => boolean,
): WayToMore {
  const own = others.get(role)
  // The role does not stand in the way: what its grant names does.
  if (own !== undefined && allows(own)) return { type: 'grant', role }
  const least = [...others.values()].find(allows)?.role
  return least === undefined ? { type: 'none' } : { type: 'role', role: least }
}

/** What may make, change or drop a function, operator, type, view or relation. */
function changesCatalog({ actions, opaque }: Parsed['statements'][number]): boolean {
  return (
    opaque !== undefined ||
    actions.some(
      ({ class: effect, command }) =>
        effect === 'DDL' || effect === 'FUNCTION' || command === 'COMMIT PREPARED',
    )
  )
}

/** One statement that is denied denies them all: the server runs a query string as one unit. */
function firstObjection(
  analysis: Parsed,
  may: Permissions,
  catalog: Catalog,
): Objection | undefined {
  for (const statement of analysis.statements) {
    const objection = objectionTo(statement, may, catalog)
    if (objection !== undefined) return objection
  }
  return undefined
}

/** Names that EXECUTE uses and that no PREPARE before it in the same string stands for. */
function executesOf(statements: Parsed['statements']): readonly string[] {
  const prepared = new Set<string>()
  const unknown = new Set<string>()
  for (const statement of statements) {
    if (statement.executes !== undefined && !prepared.has(statement.executes)) {
      unknown.add(statement.executes)
    }
    if (statement.prepares !== undefined) prepared.add(statement.prepares.name)
    if (statement.deallocates === '*') prepared.clear()
    else if (statement.deallocates !== undefined) prepared.delete(statement.deallocates)
  }
  return [...unknown]
}
