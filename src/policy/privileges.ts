// What a database role must be granted, and no more, for all that a pgwarden role may do: one line of
// defence behind the policy. Where a command needs its object's owner nothing can be granted, and nothing
// is. Ignorant of how privileges are written down or read (grants.ts, catalog/).
// PostgreSQL documentation, chapter "Privileges".

import type { RelationUse } from '../sql/facts.ts'
import type { Catalog } from './catalog.ts'
import { classify } from './functions.ts'
import type { Permissions } from './permissions.ts'
import { relationObjection } from './relations.ts'
import { allowedByName } from './unseen.ts'

interface GrantableRelation {
  readonly schema: string
  readonly name: string
  readonly kind: 'table' | 'sequence'
  readonly owner: string
  /** The table whose column takes its values from this sequence. */
  readonly feeds: { readonly schema: string; readonly name: string } | undefined
}

interface GrantableFunction {
  readonly schema: string
  readonly name: string
  /** As GRANT takes it: `(integer, text)`. */
  readonly signature: string
  readonly arguments: number
}

/** What there is in a database that rights can be given on. */
export interface Grantables {
  readonly database: string
  readonly serverVersion: number
  readonly schemas: readonly string[]
  readonly relations: readonly GrantableRelation[]
  /** Those that not everybody may call. */
  readonly functions: readonly GrantableFunction[]
}

export interface Privilege {
  readonly on: 'database' | 'schema' | 'table' | 'sequence' | 'function'
  /** Undefined for a database and a schema. */
  readonly schema: string | undefined
  readonly name: string
  /** Of a function; else empty. */
  readonly signature: string
  readonly privilege: string
}

/** The table privileges that the commands of a role need. Row locks take UPDATE. */
const ofCommands: readonly (readonly [
  privilege: string,
  access: RelationUse['access'],
  commands: readonly string[],
])[] = [
  ['SELECT', 'read', ['SELECT', 'COPY TO']],
  ['INSERT', 'write', ['INSERT', 'COPY FROM']],
  [
    'UPDATE',
    'write',
    ['UPDATE', 'SELECT FOR UPDATE', 'SELECT FOR NO KEY UPDATE', 'SELECT FOR SHARE'],
  ],
  ['DELETE', 'write', ['DELETE']],
  ['TRUNCATE', 'write', ['TRUNCATE TABLE']],
  ['REFERENCES', 'write', ['CREATE TABLE']],
  ['TRIGGER', 'write', ['CREATE TRIGGER']],
  ['MAINTAIN', 'maintain', ['VACUUM']],
]

/** The first release that has the privilege MAINTAIN. */
const withMaintain = 170_000

/** In the order of `there`. */
export function privilegesFor(
  may: Permissions,
  there: Grantables,
  catalog: Catalog,
): readonly Privilege[] {
  const relations = there.relations.flatMap((relation) =>
    relation.kind === 'table'
      ? tablePrivileges(may, relation, there.serverVersion, catalog)
      : sequencePrivileges(may, relation, catalog),
  )
  const functions = there.functions
    .filter((f) => mayCall(may, f, catalog))
    .map(({ schema, name, signature }): Privilege => {
      return { on: 'function', schema, name, signature, privilege: 'EXECUTE' }
    })
  const used = new Set([...relations, ...functions].map(({ schema }) => schema))
  const makes = may.commands.has('CREATE TABLE')
  const schemas = there.schemas.flatMap((name): readonly Privilege[] => [
    ...(used.has(name) ? [plain('schema', name, 'USAGE')] : []),
    ...(makes && coversSchema(may, name, 'write') ? [plain('schema', name, 'CREATE')] : []),
  ])
  return [
    plain('database', there.database, 'CONNECT'),
    ...(makes ? [plain('database', there.database, 'TEMPORARY')] : []),
    ...schemas,
    ...relations,
    ...functions,
  ]
}

/** Whether everything in the schema, also what is not there yet, may be read or written. */
export function coversSchema(may: Permissions, schema: string, access: 'read' | 'write'): boolean {
  return may.relations.every((rule) => {
    const touched = rule.deny?.some((pattern) =>
      ['*', schema].includes(pattern.split('.')[0] ?? ''),
    )
    const list = rule[access]
    return (
      touched !== true &&
      (list === undefined || list.some((p) => p === '*.*' || p === `${schema}.*`))
    )
  })
}

/** The privileges on tables that the role's commands need, wherever its rules allow them. */
export function tableRights(
  may: Permissions,
  serverVersion: number,
): readonly { readonly privilege: string; readonly access: RelationUse['access'] }[] {
  return ofCommands
    .filter(([, , commands]) => commands.some((command) => may.commands.has(command)))
    .filter(([privilege]) => privilege !== 'MAINTAIN' || serverVersion >= withMaintain)
    .map(([privilege, access]) => ({ privilege, access }))
}

function tablePrivileges(
  may: Permissions,
  { schema, name }: GrantableRelation,
  serverVersion: number,
  catalog: Catalog,
): readonly Privilege[] {
  return tableRights(may, serverVersion)
    .filter(
      ({ access }) =>
        relationObjection({ schema, name, access }, may.relations, catalog) === undefined,
    )
    .map(({ privilege }) => ({ on: 'table', schema, name, signature: '', privilege }))
}

/** Who may write a table needs the sequences that fill its columns, unless they are denied by name. */
function sequencePrivileges(
  may: Permissions,
  { schema, name, feeds }: GrantableRelation,
  catalog: Catalog,
): readonly Privilege[] {
  const allows = (access: 'read' | 'write', relation: { schema: string; name: string }): boolean =>
    relationObjection({ ...relation, access }, may.relations, catalog) === undefined
  const own = { schema, name }
  const writes = may.functionClasses.has('writing')
  const denied = may.relations.some(
    ({ deny }) =>
      deny !== undefined &&
      relationObjection({ ...own, access: 'read' }, [{ deny }], catalog) !== undefined,
  )
  const fed = feeds !== undefined && may.commands.has('INSERT') && allows('write', feeds) && !denied
  const privileges = [
    ...(may.commands.has('SELECT') && allows('read', own) ? ['SELECT'] : []),
    ...(writes && (allows('write', own) || fed) ? ['USAGE'] : []),
    ...(writes && allows('write', own) ? ['UPDATE'] : []),
  ]
  return privileges.map((privilege) => ({ on: 'sequence', schema, name, signature: '', privilege }))
}

function mayCall(may: Permissions, f: GrantableFunction, catalog: Catalog): boolean {
  const { schema, name, arguments: count } = f
  const use = {
    schema,
    name,
    notation: 'call',
    arguments: count,
    constants: [],
    since: undefined,
  } as const
  if (may.deniedFunctions.has(name) || may.deniedFunctions.has(`${schema}.${name}`)) return false
  if (allowedByName(use, may)) return true
  const kind = classify(use, catalog)
  if (kind === 'column') return false
  return kind === 'unknown' ? may.userDefinedFunctions : may.functionClasses.has(kind)
}

function plain(on: 'database' | 'schema', name: string, privilege: string): Privilege {
  return { on, schema: undefined, name, signature: '', privilege }
}
