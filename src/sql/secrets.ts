// What in a parse tree is a secret, and which bytes of the text to look for it at. The tree knows what a
// constant is for and often where it begins; where it does not say, the lexer looks behind a word, and
// where that is not possible either, all constants of the statement are meant (redact.ts). Ignorant of
// the text itself. PostgreSQL: gram.y, every place of a password, a connection string or a command.

import { soundsSecret, takesSecrets } from './announce.ts'
import type { SettingChange } from './facts.ts'
import { functionName } from './functions.ts'
import { unknownSetting } from './settings.ts'
import { child, list, type Node, names, string, unwrap } from './tree.ts'

/** Where a secret is. `at` counts bytes of the query string. */
export type SecretPlace =
  /** The constant, or word taken for one, that begins there. */
  | { readonly type: 'constant'; readonly at: number }
  /** The value of the option that begins there. */
  | { readonly type: 'option'; readonly at: number }
  /** The constant right behind this word. */
  | { readonly type: 'behind'; readonly word: 'connection' | 'program' }
  /** Any constant of the statement. */
  | { readonly type: 'anywhere' }
  /** A value that the text does not show. */
  | { readonly type: 'parameter' }
  /** A column's value: of a table's, the text shows nothing. */
  | { readonly type: 'column' }

/**
 * Code in a constant of the statement: in a language that has PostgreSQL's own lexical rules, or in
 * another.
 */
export type Code = 'sql' | 'foreign'

const anywhere: SecretPlace = { type: 'anywhere' }

/** The parts of a node all of whose constants and options are secrets. */
export function secretParts(
  kind: string,
  node: Node,
  changes: readonly SettingChange[],
): readonly unknown[] {
  switch (kind) {
    case 'FuncCall': {
      if (takesSecrets(functionName(node).name)) return [node['args']]
      return changes.some(isSecret) ? valuesIn(list(node, 'args')) : []
    }
    case 'NamedArgExpr':
      return soundsSecret(string(node, 'name') ?? '') ? [node['arg']] : []
    case 'A_Indirection':
      return names(list(node, 'indirection')).some(takesSecrets) ? [node['arg']] : []
    case 'VariableSetStmt':
      return changes.some(isSecret) ? [node['args']] : []
    case 'CreateUserMappingStmt':
    case 'AlterUserMappingStmt':
      return [node['options']]
    default:
      return []
  }
}

function isSecret({ name }: SettingChange): boolean {
  return name === unknownSetting || soundsSecret(name)
}

/** Behind the name of the setting, or anywhere: by name, and as VARIADIC, arguments stand in any order. */
function valuesIn(args: readonly unknown[]): readonly unknown[] {
  const inOrder = args.length === 3 && unwrap(args[0], 'NamedArgExpr') === undefined
  return inOrder ? args.slice(1) : args
}

/** `inside`: the node is in a part that is all secret. */
export function secretPlaces(kind: string, node: Node, inside: boolean): readonly SecretPlace[] {
  switch (kind) {
    case 'A_Const':
      if (!inside || node['isnull'] === true || 'boolval' in node) return []
      return [located(node, 'constant')]
    case 'ParamRef':
      return inside ? [{ type: 'parameter' }] : []
    case 'ColumnRef':
      return inside ? [{ type: 'column' }] : []
    case 'DefElem':
      if (node['arg'] === undefined || (!inside && !soundsSecret(string(node, 'defname') ?? ''))) {
        return []
      }
      return [located(node, 'option')]
    case 'CopyStmt':
      return node['is_program'] === true ? [{ type: 'behind', word: 'program' }] : []
    case 'CreateSubscriptionStmt':
    case 'AlterSubscriptionStmt':
      return 'conninfo' in node ? [{ type: 'behind', word: 'connection' }] : []
    case 'CreateTrigStmt':
      // Its arguments are strings without a place.
      return names(list(node, 'funcname')).some(takesSecrets) ? [anywhere] : []
    case 'InsertStmt':
    case 'UpdateStmt':
    case 'MergeStmt':
      return secretCatalogs.has(string(child(node, 'relation') ?? {}, 'relname') ?? '')
        ? [anywhere]
        : []
    default:
      return []
  }
}

/** What makes columns of the text's own constants: `crypt(x, 'salt') FROM (VALUES ('...')) v(x)`. */
const columnMakers: ReadonlySet<string> = new Set([
  'CommonTableExpr',
  'RangeFunction',
  'RangeSubselect',
])

export function makesColumns(kind: string): boolean {
  return columnMakers.has(kind)
}

/** What the places in a statement come to when something in it makes columns: nobody follows those. */
export function behindColumns(places: readonly SecretPlace[]): readonly SecretPlace[] {
  return places.some(({ type }) => type === 'column') ? [anywhere] : []
}

/** Whether values that are given beside the text would be secrets. */
export function areInParameters(places: readonly SecretPlace[]): boolean {
  return places.some(({ type }) => type === 'parameter' || type === 'anywhere')
}

/** Catalogs that can be written like tables, by whoever may, and hold what the commands above set. */
const secretCatalogs: ReadonlySet<string> = new Set([
  'pg_authid',
  'pg_db_role_setting',
  'pg_foreign_server',
  'pg_settings',
  'pg_subscription',
  'pg_user_mapping',
])

function located(node: Node, type: 'constant' | 'option'): SecretPlace {
  const at = node['location']
  return typeof at === 'number' && at > 0 ? { type, at } : anywhere
}

/** Of a DO or a CREATE FUNCTION, wherever it is nested. */
export function codeIn(kind: string, node: Node): Code | undefined {
  if (kind !== 'DoStmt' && kind !== 'CreateFunctionStmt') return undefined
  const options = list(node, kind === 'DoStmt' ? 'args' : 'options')
  const languages = options.flatMap((option) => {
    const element = unwrap(option, 'DefElem') ?? {}
    if (string(element, 'defname') !== 'language') return []
    return [string(unwrap(element['arg'], 'String') ?? {}, 'sval') ?? '']
  })
  return languages.every((language) => ownLanguages.has(language)) ? 'sql' : 'foreign'
}

const ownLanguages: ReadonlySet<string> = new Set(['sql', 'plpgsql'])
