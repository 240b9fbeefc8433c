// One statement against one role's permissions: the first thing in it that the role may not do, or
// nothing. The same rules in the same order for every role - commands, relations, functions, settings -
// so that what a role may do is all in its definition. Ignorant of wording and of the parse tree.

import { isSystemRelation } from '../sql/catalogs.ts'
import type { FunctionUse, RelationUse, SettingChange, Statement } from '../sql/facts.ts'
import { classify, type FunctionKind } from './functions.ts'
import type { Permissions } from './permissions.ts'
import type { CatalogPower } from './roles.ts'
import { allowsSetting, breaksReading } from './settings.ts'

/** What the role may not do. */
export type Objection =
  | { readonly type: 'opaque'; readonly tag: string; readonly why: string }
  | { readonly type: 'command'; readonly command: string; readonly where: string }
  | { readonly type: 'relation'; readonly relation: RelationUse; readonly needs: CatalogPower }
  | { readonly type: 'function'; readonly use: FunctionUse; readonly kind: FunctionKind }
  | { readonly type: 'setting'; readonly change: SettingChange; readonly pinned: boolean }

export function objectionTo(statement: Statement, may: Permissions): Objection | undefined {
  if (statement.opaque !== undefined) {
    return { type: 'opaque', tag: statement.tag, why: statement.opaque }
  }
  for (const { command, where } of statement.actions) {
    if (!may.commands.has(command)) return { type: 'command', command, where }
  }
  for (const relation of statement.relations) {
    const needs = powerNeeded(relation)
    if (needs !== undefined && !may.catalogs.has(needs))
      return { type: 'relation', relation, needs }
  }
  for (const use of statement.functions) {
    const kind = classify(use)
    if (!mayCall(use, kind, may)) return { type: 'function', use, kind }
  }
  for (const change of statement.settings) {
    const objection = objectionToSetting(change, may)
    if (objection !== undefined) return objection
  }
  return undefined
}

export function objectionToSetting(change: SettingChange, may: Permissions): Objection | undefined {
  const pinned = breaksReading(change)
  if (!pinned && allowsSetting(may.settings, change)) return undefined
  return { type: 'setting', change, pinned }
}

/** System relations whose content is not for everybody, or that show what a denied function shows. */
const secrets: ReadonlySet<string> = new Set([
  'pg_authid',
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

function powerNeeded(relation: RelationUse): CatalogPower | undefined {
  if (!isSystemRelation(relation.schema, relation.name)) return undefined
  if (relation.access === 'write') return 'write'
  const toast = relation.schema?.startsWith('pg_toast') === true
  return toast || secrets.has(relation.name) ? 'secrets' : undefined
}

function mayCall(use: FunctionUse, kind: FunctionKind, may: Permissions): boolean {
  const names = namesOf(use)
  if (may.deniedFunctions.has(use.name) || names.some((name) => may.deniedFunctions.has(name))) {
    return false
  }
  if (kind === 'column' || names.some((name) => may.allowedFunctions.has(name))) return true
  return kind === 'unknown' ? may.userDefinedFunctions : may.functionClasses.has(kind)
}

/** The names by which a role's lists may mean the function. */
function namesOf({ schema, name }: FunctionUse): readonly string[] {
  if (schema === undefined) return [name]
  return schema === 'pg_catalog' ? [name, `pg_catalog.${name}`] : [`${schema}.${name}`]
}
