// One statement against one role's permissions: the first thing in it that the role may not do, or
// nothing. The same rules in the same order for every role - commands, relations, functions and what
// runs them unseen, settings - so that what a role may do is all in its definition. Ignorant of wording and of the parse tree.

import { isSystemRelation } from '../sql/catalogs.ts'
import type { FunctionUse, NameUse, RelationUse, SettingChange, Statement } from '../sql/facts.ts'
import type { Catalog, SnapshotCarrier } from './catalog.ts'
import { staysBelow } from './ceilings.ts'
import { classify, type FunctionKind, isUserCode } from './functions.ts'
import type { Carrier, Objection, SettingProblem } from './objection.ts'
import type { Permissions } from './permissions.ts'
import { readsRoundRules, relationObjection, statistics } from './relations.ts'
import type { CatalogPower } from './roles.ts'
import { allowsSetting, breaksReading, changesContext } from './settings.ts'
import { allowedByName, namesOf, objectionToUnseen } from './unseen.ts'

export function objectionTo(
  statement: Statement,
  may: Permissions,
  catalog: Catalog,
): Objection | undefined {
  if (statement.opaque !== undefined) {
    return { type: 'opaque', tag: statement.tag, why: statement.opaque }
  }
  for (const { command, where } of statement.actions) {
    if (!may.commands.has(command)) return { type: 'command', command, where }
  }
  for (const relation of statement.relations) {
    const objection = objectionToRelation(relation, may, catalog)
    if (objection !== undefined) return objection
  }
  for (const use of statement.functions) {
    const kind = classify(use, catalog)
    const round = readsRoundRules(use, may.relations) && kind !== 'column'
    if (round || !mayCall(use, kind, may)) return { type: 'function', use, kind }
  }
  const objection = objectionToCarriers(carriers(statement, catalog), may)
  if (objection !== undefined) return objection
  for (const change of statement.settings) {
    const objection = objectionToSetting(change, may)
    if (objection !== undefined) return objection
  }
  return objectionToUnseen(statement, carriers(statement, catalog), may, catalog)
}

export function objectionToCarriers(
  found: readonly Carrier[],
  may: Permissions,
): Objection | undefined {
  if (may.userDefinedFunctions) return undefined
  const carrier = found.find(({ carrier }) => !may.allowedFunctions.has(carrier.runs))
  return carrier === undefined ? undefined : { type: 'carrier', carrier }
}

function objectionToRelation(
  relation: RelationUse,
  may: Permissions,
  catalog: Catalog,
): Objection | undefined {
  const needs = powerNeeded(relation, catalog)
  if (needs !== undefined && !may.catalogs.has(needs)) return { type: 'catalog', relation, needs }
  if (may.context.size > 0 && needs === 'write') {
    const subject = `writing relation ${qualified(relation)}`
    const why = 'writing the system catalogs can change any setting'
    return { type: 'unseen', subject, why, guards: 'context' }
  }
  const why = readsRoundRules(relation, may.relations)
    ? 'it shows the content of relations that have rules'
    : relationObjection(relation, may.relations, catalog)
  return why === undefined ? undefined : { type: 'relation', relation, why }
}

export function objectionToSetting(change: SettingChange, may: Permissions): Objection | undefined {
  const problem = (why: SettingProblem): Objection => ({ type: 'setting', change, why })
  if (breaksReading(change)) return problem('pinned')
  if (changesContext(change, may.context)) return problem('context')
  if (!allowsSetting(may.settings, change)) return problem('not allowed')
  const ceilings = may.ceilings.get(change.name) ?? []
  return ceilings.every((ceiling) => staysBelow(change, ceiling)) ? undefined : problem('limit')
}

/** Whether running the statement can reach code that is not the server's own. */
export function runsUserCode(statement: Statement, catalog: Catalog): boolean {
  return (
    statement.opaque !== undefined ||
    statement.actions.some(({ class: effect }) => effect === 'FUNCTION') ||
    statement.functions.some((use) => isUserCode(use, catalog)) ||
    carriers(statement, catalog).length > 0
  )
}

function carriers(statement: Statement, catalog: Catalog): readonly Carrier[] {
  if (!catalog.complete) return []
  const { operators, types, relations } = statement
  return [
    ...named('operator', operators, (use) => catalog.operators(use)),
    ...named('type', types, (use) => catalog.types(use)),
    ...named('relation', relations, (use) => catalog.views(use)),
    ...(fillsRows(statement) ? named('type', relations, (use) => catalog.types(use)) : []),
  ]
}

/** Those among the types, by number, of a statement's parameters. */
export function parameterCarriers(types: readonly number[], catalog: Catalog): readonly Carrier[] {
  return types.flatMap((oid) =>
    catalog
      .typesByOid(oid)
      .map((carrier) => ({ what: 'parameter type', use: carrier, carrier }) as const),
  )
}

function named(
  what: Carrier['what'],
  uses: readonly NameUse[],
  lookUp: (use: NameUse) => readonly SnapshotCarrier[],
): readonly Carrier[] {
  return uses.flatMap((use) => lookUp(use).map((carrier) => ({ what, use, carrier })))
}

/** Some functions make rows of a table's type, which they are given by a row of it and not by name. */
function fillsRows({ functions, operators }: Statement): boolean {
  return (
    functions.some(({ name }) => /^jsonb?_populate_record|^populate_record$/.test(name)) ||
    operators.some(({ name }) => name === '#=')
  )
}

/** System relations whose content is not for everybody, or that show what a denied function shows. */
const secrets: ReadonlySet<string> = new Set([
  'pg_authid',
  'pg_dist_authinfo',
  'pg_shadow',
  'pg_user_mapping',
  'pg_user_mappings',
  'user_mapping_options',
  '_pg_user_mappings',
  'pg_subscription',
  'pg_statistic',
  'pg_statistic_ext_data',
  'pg_largeobject',
  'pg_hba_file_rules',
  'pg_ident_file_mappings',
  'pg_file_settings',
  'pg_config',
  'pg_shmem_allocations',
  'pg_shmem_allocations_numa',
  'pg_backend_memory_contexts',
  'pg_aios',
  'pg_replication_origin_status',
])

/** Tables of extensions whose rows are run, or say what files may be touched: writing one is more. */
const codeRelations: ReadonlySet<string> = new Set([
  'cron.job',
  'net.http_request_queue',
  'pgagent.pga_job',
  'pgagent.pga_jobstep',
  'pgagent.pga_schedule',
  'timetable.chain',
  'timetable.parameter',
  'timetable.task',
  'utl_file.utl_file_dir',
  '_timescaledb_config.bgw_job',
])

function powerNeeded(relation: RelationUse, catalog: Catalog): CatalogPower | undefined {
  if (relation.access === 'maintain') return undefined
  if (relation.access === 'write' && isCode(relation, catalog)) return 'write'
  if (!isSystemRelation(relation.schema, relation.name)) {
    // With information_schema in its path a session need not say so.
    return relation.schema === undefined && secrets.has(relation.name) ? 'secrets' : undefined
  }
  if (relation.access === 'write') return 'write'
  if (statistics.has(relation.name)) return 'statistics'
  const toast = relation.schema?.startsWith('pg_toast') === true
  return toast || secrets.has(relation.name) ? 'secrets' : undefined
}

function isCode(relation: NameUse, catalog: Catalog): boolean {
  const meanings = relation.schema === undefined ? catalog.relations(relation) : [relation]
  return meanings.some(({ schema, name }) => codeRelations.has(`${schema ?? ''}.${name}`))
}

function mayCall(use: FunctionUse, kind: FunctionKind, may: Permissions): boolean {
  const names = namesOf(use)
  if (may.deniedFunctions.has(use.name) || names.some((name) => may.deniedFunctions.has(name))) {
    return false
  }
  if (kind === 'column' || allowedByName(use, may)) return true
  return kind === 'unknown' ? may.userDefinedFunctions : may.functionClasses.has(kind)
}

function qualified({ schema, name }: NameUse): string {
  return schema === undefined ? name : `${schema}.${name}`
}
