// The settings (GUCs) that a node changes: SET, RESET, the modes of BEGIN and SET TRANSACTION,
// set_config, and the SET clauses of ALTER ROLE, ALTER DATABASE and functions, whose values reach a
// session too. Ignorant of which settings matter.

import type { SettingChange } from './facts.ts'
import { functionName } from './functions.ts'
import { constant, list, type Node, names, string, unwrap } from './tree.ts'

/** The name of a setting that is not written as a constant. */
export const unknownSetting = '?'

/** Names that the server still takes for others (map_old_guc_names in guc.c). */
const aliases: ReadonlyMap<string, string> = new Map([
  ['sort_mem', 'work_mem'],
  ['vacuum_mem', 'maintenance_work_mem'],
])

/** The name as the server compares it: ASCII case folded, old names replaced. */
export function settingName(written: string): string {
  const name = written.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
  return aliases.get(name) ?? name
}

/** `by` is the command of the statement that the node belongs to. */
export function settingsOf(
  type: string | undefined,
  node: Node,
  by: string,
): readonly SettingChange[] {
  switch (type) {
    case 'VariableSetStmt':
      return variableSet(node, by)
    case 'TransactionStmt':
      return modes(list(node, 'options'), '', by)
    case 'DiscardStmt':
      return string(node, 'target') === 'DISCARD_ALL'
        ? [{ name: '*', kind: 'reset', values: [], by }]
        : []
    case 'FuncCall':
      return setConfig(node)
    default:
      return []
  }
}

function variableSet(node: Node, by: string): readonly SettingChange[] {
  const written = string(node, 'name') ?? ''
  const name = settingName(written)
  switch (string(node, 'kind')) {
    case 'VAR_SET_VALUE':
      return [{ name, kind: 'set', values: constants(list(node, 'args')), by }]
    case 'VAR_SET_DEFAULT':
      return [{ name, kind: 'default', values: [], by }]
    case 'VAR_RESET':
      return [{ name, kind: 'reset', values: [], by }]
    case 'VAR_RESET_ALL':
      return [{ name: '*', kind: 'reset', values: [], by }]
    case 'VAR_SET_MULTI':
      // The third of these, TRANSACTION SNAPSHOT, changes what is seen and no setting.
      if (written === 'TRANSACTION SNAPSHOT') return []
      return modes(list(node, 'args'), written === 'TRANSACTION' ? '' : 'default_', by)
    default:
      // SET ... FROM CURRENT keeps a value that the session has already.
      return [{ name, kind: 'set', values: undefined, by }]
  }
}

function modes(options: readonly unknown[], prefix: string, by: string): readonly SettingChange[] {
  return options.flatMap((option): readonly SettingChange[] => {
    const element = unwrap(option, 'DefElem')
    if (element === undefined) return []
    const name = string(element, 'defname') ?? unknownSetting
    const value = constant(element['arg'])
    const flag = name.endsWith('_read_only') || name.endsWith('_deferrable')
    const shown = flag ? (value === '1' ? 'on' : 'off') : value
    return [
      { name: prefix + name, kind: 'set', values: shown === undefined ? undefined : [shown], by },
    ]
  })
}

function setConfig(call: Node): readonly SettingChange[] {
  const { schema, name } = functionName(call)
  if (name !== 'set_config' || (schema !== undefined && schema !== 'pg_catalog')) return []
  const args = list(call, 'args')
  const setting = args.length === 3 ? constant(args[0]) : undefined
  return [
    {
      name: setting === undefined ? unknownSetting : settingName(setting),
      kind: 'set',
      values: constants(args.slice(1, 2)),
      by: 'set_config',
    },
  ]
}

/**
 * pg_dump asks for `SELECT set_config(name, ...) FROM pg_settings WHERE name = '...'`, to set only what
 * the server knows. The condition makes the name a constant; nothing but this exact form is read so.
 */
export function settingFromCatalog(select: Node): ReadonlyMap<Node, SettingChange> {
  const found = new Map<Node, SettingChange>()
  const [source, ...otherSources] = list(select, 'fromClause')
  const table = unwrap(source, 'RangeVar')
  if (table === undefined || otherSources.length > 0) return found
  if (string(table, 'relname') !== 'pg_settings') return found
  if ((string(table, 'schemaname') ?? 'pg_catalog') !== 'pg_catalog') return found
  const condition = unwrap(select['whereClause'], 'A_Expr')
  if (condition === undefined || string(condition, 'kind') !== 'AEXPR_OP') return found
  if (names(list(condition, 'name')).join('.') !== '=') return found
  if (columnName(condition['lexpr']) !== 'name') return found
  const setting = constant(condition['rexpr'])
  if (setting === undefined) return found
  for (const target of list(select, 'targetList')) {
    const call = unwrap(unwrap(target, 'ResTarget')?.['val'], 'FuncCall')
    if (call === undefined || columnName(list(call, 'args')[0]) !== 'name') continue
    for (const change of setConfig(call)) found.set(call, { ...change, name: settingName(setting) })
  }
  return found
}

function columnName(value: unknown): string | undefined {
  const path = names(list(unwrap(value, 'ColumnRef') ?? {}, 'fields'))
  return path.length === 1 ? path[0] : undefined
}

function constants(args: readonly unknown[]): readonly string[] | undefined {
  const values = args.map(constant)
  return values.every((value) => value !== undefined) ? values : undefined
}
