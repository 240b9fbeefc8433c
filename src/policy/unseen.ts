// What a session may not run where something is kept from it that its statements do not name: code that
// no text shows could read a relation that is denied to it, or change the settings that say who it is.
// So a session with relation rules, or on a target with a session context, runs only what can be told.
// Fail closed: commands and functions that are safe are listed, the rest is not.
// PostgreSQL documentation, chapters "Row Security Policies" and "CREATE FUNCTION".

import { farReaching } from '../sql/commands.ts'
import type { FunctionUse, Statement } from '../sql/facts.ts'
import type { Catalog, SnapshotCarrier, SnapshotFunction } from './catalog.ts'
import { classify } from './functions.ts'
import type { Carrier, Guard, Objection } from './objection.ts'
import type { Permissions } from './permissions.ts'

/** What stands behind a name, and not in the text: undefined when it does no harm. */
type Doubt = string | undefined

/** Far-reaching commands whose text shows all that they do to relations and settings. */
const plain: ReadonlySet<string> = new Set([
  'CREATE POLICY',
  'ALTER POLICY',
  'DROP POLICY',
  'ALTER TABLE ROW SECURITY',
  'ALTER TABLE OWNER',
  'ALTER SEQUENCE OWNER',
  'COMMENT ON FUNCTION',
  'COMMENT ON POLICY',
  'COMMENT ON ROLE',
  'DROP FUNCTION',
  'DROP PROCEDURE',
  'DROP ROUTINE',
  'CHECKPOINT',
  'PREPARE TRANSACTION',
  'COMMIT PREPARED',
  'ROLLBACK PREPARED',
])

/** What they do it to is not in their text. */
const sweeping: ReadonlySet<string> = new Set(['DROP OWNED', 'REASSIGN OWNED'])

/**
 * What they make is run with the rights of its owner, whoever reads or writes: and its owner may become the
 * one whom objects of a login that ends are handed to, to whom row-level security does not apply.
 */
const ownersRights: ReadonlySet<string> = new Set([
  'CREATE VIEW',
  'CREATE MATERIALIZED VIEW',
  'CREATE RULE',
])

/** Administrative functions that run no SQL, open no session and show no rows. */
const plainFunctions: ReadonlySet<string> = new Set(
  `pg_backup_start pg_backup_stop pg_cancel_backend pg_create_restore_point pg_log_backend_memory_contexts
  pg_log_standby_snapshot pg_promote pg_reload_conf pg_rotate_logfile pg_stat_reset
  pg_stat_reset_backend_stats pg_stat_reset_replication_slot pg_stat_reset_shared
  pg_stat_reset_single_function_counters pg_stat_reset_single_table_counters pg_stat_reset_slru
  pg_stat_reset_subscription_stats pg_stat_statements_reset pg_switch_wal pg_terminate_backend
  pg_wal_replay_pause pg_wal_replay_resume`.split(/\s+/),
)

/** What is kept from a session with these permissions. */
export function guardsOf({ context, relations }: Permissions): readonly Guard[] {
  const guards: Guard[] = []
  if (context.size > 0) guards.push('context')
  if (relations.length > 0) guards.push('relations')
  return guards
}

/** `carriers`: what else of the statement runs functions. */
export function objectionToUnseen(
  statement: Statement,
  carriers: readonly Carrier[],
  may: Permissions,
  catalog: Catalog,
): Objection | undefined {
  for (const guards of guardsOf(may)) {
    for (const { command } of statement.actions) {
      const why = doubtOnCommand(command, guards)
      if (why !== undefined) return { type: 'unseen', subject: command, why, guards }
    }
    for (const use of statement.functions) {
      if (allowedByName(use, may)) continue
      const why = doubtOnCall(use, guards, may, catalog)
      if (why !== undefined) {
        return {
          type: 'unseen',
          subject: `function ${namesOf(use).at(-1) ?? use.name}`,
          why,
          guards,
        }
      }
    }
    const behind = [
      ...carriers.map(({ carrier }) => carrier),
      ...(guards === 'context' ? changersOf(statement, catalog) : []),
    ]
    const objection = objectionToBehind(behind, guards, may, catalog)
    if (objection !== undefined) return objection
  }
  return undefined
}

/** The same for parameters whose types only a message names. */
export function objectionToParameters(
  parameters: readonly Carrier[],
  may: Permissions,
  catalog: Catalog,
): Objection | undefined {
  const behind = parameters.map(({ carrier }) => carrier)
  for (const guards of guardsOf(may)) {
    const objection = objectionToBehind(behind, guards, may, catalog)
    if (objection !== undefined) return objection
  }
  return undefined
}

/** What changes settings for whoever does what the statement does. */
function changersOf({ relations, types }: Statement, catalog: Catalog): readonly SnapshotCarrier[] {
  return [
    ...relations.filter(({ access }) => access === 'write').flatMap((use) => catalog.written(use)),
    ...[...relations, ...types].flatMap((use) => catalog.shown(use)),
  ]
}

function objectionToBehind(
  behind: readonly SnapshotCarrier[],
  guards: Guard,
  may: Permissions,
  catalog: Catalog,
): Objection | undefined {
  for (const { schema, name, runs, because } of behind) {
    if (may.allowedFunctions.has(runs)) continue
    const doubt = doubtOnName(runs, guards, may, catalog)
    const why = doubt && `${because}: ${doubt}`
    if (why !== undefined) return { type: 'unseen', subject: `${schema}.${name}`, why, guards }
  }
  return undefined
}

function doubtOnCommand(command: string, guards: Guard): Doubt {
  if (farReaching.has(command) && !plain.has(command)) {
    return 'what it does is not all in its text'
  }
  if (sweeping.has(command)) return 'it does not name what it is about'
  if (guards === 'context' && ownersRights.has(command)) {
    return 'what it makes can outlive the session and run with the rights of another owner'
  }
  // Another schema under the name would bring other functions, before anybody has looked at them.
  return guards === 'context' && command === 'ALTER SCHEMA' ? 'it renames functions' : undefined
}

function doubtOnCall(use: FunctionUse, guards: Guard, may: Permissions, catalog: Catalog): Doubt {
  const kind = classify(use, catalog)
  if (kind === 'administrative' && !plainFunctions.has(use.name)) {
    return 'it may run SQL, open another session or show rows that nobody has named'
  }
  const meanings = catalog
    .functions(use)
    .filter((f) => use.notation !== 'attribute' || f.leastArguments <= 1)
  for (const meaning of meanings) {
    // What is in the lists has been looked at, whatever language it is written in.
    const known = meaning.extension !== undefined && kind !== 'unknown' && kind !== 'column'
    const doubt = doubtOnFunction(known ? { ...meaning, unseen: false } : meaning, guards, may)
    if (doubt !== undefined) return doubt
  }
  const unknown = kind === 'unknown' && use.notation === 'call' && meanings.length === 0
  return guards === 'context' && unknown ? 'nobody has looked at what it does' : undefined
}

function doubtOnName(runs: string, guards: Guard, may: Permissions, catalog: Catalog): Doubt {
  if (guards === 'context' && runs === 'pg_catalog.set_config') return 'it changes a setting'
  if (runs === 'unknown') return 'what it runs cannot be told'
  for (const meaning of catalog.named(runs)) {
    const doubt = doubtOnFunction(meaning, guards, may)
    if (doubt !== undefined) return doubt
  }
  return undefined
}

/** Functions that the database's owner has made are trusted as far as their text can be read. */
function doubtOnFunction(f: SnapshotFunction, guards: Guard, { context }: Permissions): Doubt {
  if (guards === 'relations') {
    return f.unseen === true ? 'it runs SQL that its text does not show' : undefined
  }
  if (f.sets === undefined || f.unseen !== false) return 'what it runs cannot be told from its text'
  if (f.sets.includes('*')) return 'it changes settings that its text does not name'
  const setting = f.sets.find((name) => context.has(name))
  return setting === undefined ? undefined : `it changes the setting ${setting}`
}

/** Whether somebody who knows the function has allowed it to the role. */
export function allowedByName(use: FunctionUse, { allowedFunctions }: Permissions): boolean {
  return namesOf(use).some((name) => allowedFunctions.has(name))
}

/** The names by which a role's lists may mean the function. */
export function namesOf({ schema, name }: FunctionUse): readonly string[] {
  if (schema === undefined) return [name]
  return schema === 'pg_catalog' ? [name, `pg_catalog.${name}`] : [`${schema}.${name}`]
}
