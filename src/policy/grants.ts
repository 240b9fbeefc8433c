// Privileges as SQL: GRANT and REVOKE for a migration, or for what makes a login; and what is too much and
// what is missing of them. Every name is quoted. Ignorant of where privileges come from.
// PostgreSQL documentation: GRANT, REVOKE, ALTER DEFAULT PRIVILEGES, ALTER ROLE.

import type { Permissions } from './permissions.ts'
import { coversSchema, type Grantables, type Privilege, tableRights } from './privileges.ts'

/** Whom the statements are for. */
export type Grantee =
  /** A role that stays: it loses what it should not have, and gets what is made later. */
  | { readonly type: 'role'; readonly name: string }
  /** A login that is about to be made, by whoever puts its name in the place of this. */
  | { readonly type: 'template'; readonly placeholder: '{{name}}' | '"{{name}}"' }

/** One statement a line; to be run by the owner of the objects, in one transaction. Can be repeated. */
export function grantStatements(
  privileges: readonly Privilege[],
  grantee: Grantee,
  there: Grantables,
  may: Permissions,
  readOnly: boolean,
): readonly string[] {
  const to = grantee.type === 'role' ? quoted(grantee.name) : grantee.placeholder
  const lasting = grantee.type === 'role'
  return [
    ...(lasting ? revocations(there, to) : []),
    ...grants(privileges).map(({ rights, on }) => `GRANT ${rights} ON ${on} TO ${to};`),
    // A login that is gone tomorrow must not be named in anybody's default privileges.
    ...(lasting ? defaults(there, may, to) : []),
    ...(readOnly ? [`ALTER ROLE ${to} SET default_transaction_read_only = on;`] : []),
  ]
}

/** A line for people: `SELECT on table shop.orders`. */
function described({ on, schema, name, signature, privilege }: Privilege): string {
  return `${privilege} on ${on} ${schema === undefined ? '' : `${schema}.`}${name}${signature}`
}

/** What a database role has. */
export interface Held {
  readonly held: readonly Privilege[]
  /** On some columns of a table. */
  readonly partly: readonly Privilege[]
  /** Of the database and its schemas what everybody has: a grant to one role changes nothing about it. */
  readonly everybody: readonly Privilege[]
  /** Attributes that no grant limits: `SUPERUSER`, `BYPASSRLS`, ... */
  readonly attributes: readonly string[]
  /** Whether its sessions begin read-only in this database. */
  readonly readOnly: boolean
}

/** Lines for people, sorted. */
export interface Drift {
  readonly tooMuch: readonly string[]
  readonly missing: readonly string[]
}

export function driftBetween(wanted: readonly Privilege[], readOnly: boolean, has: Held): Drift {
  const names = (all: readonly Privilege[]): ReadonlySet<string> => new Set(all.map(described))
  const [want, have, granted] = [names(wanted), names(has.held), names(has.everybody)]
  const extra = [...names([...has.held, ...has.partly])].filter(
    (name) => !want.has(name) && !granted.has(name),
  )
  const setting =
    readOnly && !has.readOnly ? ['the setting default_transaction_read_only = on'] : []
  return {
    tooMuch: [...has.attributes.map((attribute) => `the attribute ${attribute}`), ...extra].sort(),
    missing: [...[...want].filter((name) => !have.has(name)), ...setting].sort(),
  }
}

function revocations({ database, schemas }: Grantables, from: string): readonly string[] {
  return [
    `REVOKE ALL ON DATABASE ${quoted(database)} FROM ${from};`,
    ...schemas.flatMap((schema) => [
      `REVOKE ALL ON ALL TABLES IN SCHEMA ${quoted(schema)} FROM ${from};`,
      `REVOKE ALL ON ALL SEQUENCES IN SCHEMA ${quoted(schema)} FROM ${from};`,
      `REVOKE ALL ON ALL ROUTINES IN SCHEMA ${quoted(schema)} FROM ${from};`,
      `REVOKE ALL ON SCHEMA ${quoted(schema)} FROM ${from};`,
    ]),
  ]
}

/** One for each object, with all its rights. */
function grants(
  privileges: readonly Privilege[],
): readonly { readonly on: string; readonly rights: string }[] {
  const rights = new Map<string, string[]>()
  for (const privilege of privileges) {
    const on = objectOf(privilege)
    rights.set(on, [...(rights.get(on) ?? []), privilege.privilege])
  }
  return [...rights].map(([on, all]) => ({ on, rights: all.join(', ') }))
}

function objectOf({ on, schema, name, signature }: Privilege): string {
  // ROUTINE stands for a procedure too.
  const kind = on === 'function' ? 'ROUTINE' : on.toUpperCase()
  return `${kind} ${schema === undefined ? '' : `${quoted(schema)}.`}${quoted(name)}${signature}`
}

/** What the owners in a schema make from now on, where the role's rules are about all of it. */
function defaults(there: Grantables, may: Permissions, to: string): readonly string[] {
  return there.schemas.flatMap((schema) => {
    const rights = tableRights(may, there.serverVersion)
      .filter(({ access }) => coversSchema(may, schema, access === 'read' ? 'read' : 'write'))
      .map(({ privilege }) => privilege)
    const sequences = [
      ...(rights.includes('SELECT') ? ['SELECT'] : []),
      ...(rights.includes('INSERT') ? ['USAGE', 'UPDATE'] : []),
    ]
    const owners = new Set(
      there.relations.filter((relation) => relation.schema === schema).map(({ owner }) => owner),
    )
    return [...owners].sort().flatMap((owner) => {
      const head = `ALTER DEFAULT PRIVILEGES FOR ROLE ${quoted(owner)} IN SCHEMA ${quoted(schema)}`
      const statement = (kind: string, all: readonly string[]): readonly string[] => [
        `${head} REVOKE ALL ON ${kind} FROM ${to};`,
        ...(all.length === 0 ? [] : [`${head} GRANT ${all.join(', ')} ON ${kind} TO ${to};`]),
      ]
      return [...statement('TABLES', rights), ...statement('SEQUENCES', sequences)]
    })
  })
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
