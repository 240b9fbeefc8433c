// What there is in a database to be granted, and what one database role has of it: by grants to itself, to
// roles that it is in, and to everybody, as the server reckons it. Ignorant of what it should have.
// PostgreSQL documentation: "Access Privilege Inquiry Functions"; the same for versions 15 to 18.

import { firstUserOid } from '../policy/catalog.ts'
import type { Held } from '../policy/grants.ts'
import type { Grantables, Privilege } from '../policy/privileges.ts'
import type { Query } from './definition-texts.ts'

interface SchemaRow {
  readonly schema: string
  readonly held: readonly string[]
  readonly everybody: readonly string[]
}

interface RelationRow {
  readonly schema: string
  readonly name: string
  readonly kind: 'table' | 'sequence'
  readonly owner: string
  readonly feedsSchema: string | null
  readonly feedsName: string | null
  readonly held: readonly string[]
  readonly partly: readonly string[]
}

interface FunctionRow {
  readonly schema: string
  readonly name: string
  readonly signature: string
  readonly arguments: number
  readonly held: boolean
}

interface DatabaseRow {
  readonly database: string
  readonly version: number
  readonly held: readonly string[]
  readonly everybody: readonly string[]
}

interface RoleRow {
  readonly attributes: readonly string[]
  readonly readOnly: boolean
}

/** `role`: whose privileges to look at. `has` is undefined without one, and when there is no such role. */
export async function readPrivileges(
  query: Query,
  role: string | undefined,
): Promise<{ readonly there: Grantables; readonly has: Held | undefined }> {
  const [self] = role === undefined ? [] : await query<RoleRow>(roleQuery(literal(role)))
  const who = `${role === undefined || self === undefined ? 'NULL' : literal(role)}::pg_catalog.name`
  const [database] = await query<DatabaseRow>(databaseQuery(who))
  if (database === undefined) throw new TypeError('a connection without a database')
  const schemas = await query<SchemaRow>(schemasQuery(who))
  const relations = await query<RelationRow>(relationsQuery(who, database.version))
  const functions = await query<FunctionRow>(functionsQuery(who))
  return {
    there: {
      database: database.database,
      serverVersion: database.version,
      schemas: schemas.map(({ schema }) => schema),
      relations: relations.map(({ schema, name, kind, owner, feedsSchema, feedsName }) => {
        const feeds =
          feedsSchema === null || feedsName === null
            ? undefined
            : { schema: feedsSchema, name: feedsName }
        return { schema, name, kind, owner, feeds }
      }),
      functions,
    },
    has: self && {
      held: [
        ...database.held.map((right) => privilege('database', undefined, database.database, right)),
        ...schemas.flatMap(({ schema, held }) =>
          held.map((right) => privilege('schema', undefined, schema, right)),
        ),
        ...relations.flatMap(({ schema, name, kind, held }) =>
          held.map((right) => privilege(kind, schema, name, right)),
        ),
        ...functions
          .filter(({ held }) => held)
          .map(({ schema, name, signature }) => ({
            ...privilege('function', schema, name, 'EXECUTE'),
            signature,
          })),
      ],
      partly: relations.flatMap(({ schema, name, kind, partly }) =>
        partly.map((right) => privilege(kind, schema, name, right)),
      ),
      everybody: [
        ...database.everybody.map((right) =>
          privilege('database', undefined, database.database, right),
        ),
        ...schemas.flatMap(({ schema, everybody }) =>
          everybody.map((right) => privilege('schema', undefined, schema, right)),
        ),
      ],
      attributes: self.attributes,
      readOnly: self.readOnly,
    },
  }
}

function privilege(
  on: Privilege['on'],
  schema: string | undefined,
  name: string,
  right: string,
): Privilege {
  return { on, schema, name, signature: '', privilege: right }
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** Which of the rights `who` has by the function; none when nobody is asked for. */
function among(rights: readonly string[], condition: string): string {
  const list = rights.map(literal).join(', ')
  return `ARRAY(SELECT p FROM pg_catalog.unnest(ARRAY[${list}]) AS p WHERE ${condition})`
}

const databaseRights = ['CONNECT', 'TEMPORARY', 'CREATE']
const schemaRights = ['USAGE', 'CREATE']
const ownSchemas = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`

const roleQuery = (who: string): string => `
SELECT pg_catalog.array_remove(ARRAY[
    CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END,
    CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END, CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
    CASE WHEN r.rolreplication THEN 'REPLICATION' END], NULL) AS attributes,
  EXISTS (
    SELECT FROM pg_catalog.pg_db_role_setting AS s
    WHERE s.setrole = r.oid AND (s.setdatabase = 0 OR s.setdatabase = (
      SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
      AND 'default_transaction_read_only=on' = ANY (s.setconfig)
  ) AS "readOnly"
FROM pg_catalog.pg_roles AS r WHERE r.rolname = ${who}`

const databaseQuery = (who: string): string => `
SELECT pg_catalog.current_database() AS database,
  pg_catalog.current_setting('server_version_num')::int AS version,
  ${among(databaseRights, `pg_catalog.has_database_privilege(${who}, d.oid, p)`)} AS held,
  ${among(databaseRights, `pg_catalog.has_database_privilege('public', d.oid, p)`)} AS everybody
FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()`

const schemasQuery = (who: string): string => `
SELECT n.nspname AS schema,
  ${among(schemaRights, `pg_catalog.has_schema_privilege(${who}, n.oid, p)`)} AS held,
  ${among(schemaRights, `pg_catalog.has_schema_privilege('public', n.oid, p)`)} AS everybody
FROM pg_catalog.pg_namespace AS n WHERE ${ownSchemas} ORDER BY 1`

const relationsQuery = (who: string, version: number): string => {
  const rights = ['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']
  const all = version >= 170_000 ? [...rights, 'MAINTAIN'] : rights
  return `
SELECT n.nspname AS schema, c.relname AS name,
  CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind,
  pg_catalog.pg_get_userbyid(c.relowner) AS owner,
  fn.nspname AS "feedsSchema", f.relname AS "feedsName",
  CASE c.relkind WHEN 'S'
    THEN ${among(['SELECT', 'USAGE', 'UPDATE'], `pg_catalog.has_sequence_privilege(${who}, c.oid, p)`)}
    ELSE ${among(all, `pg_catalog.has_table_privilege(${who}, c.oid, p)`)} END AS held,
  CASE c.relkind WHEN 'S' THEN '{}'
    ELSE ${among(['SELECT', 'INSERT', 'UPDATE', 'REFERENCES'], `pg_catalog.has_any_column_privilege(${who}, c.oid, p)`)} END AS partly
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_depend AS d ON c.relkind = 'S' AND d.objid = c.oid AND d.deptype IN ('a', 'i')
  AND d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
LEFT JOIN pg_catalog.pg_class AS f ON f.oid = d.refobjid
LEFT JOIN pg_catalog.pg_namespace AS fn ON fn.oid = f.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND ${ownSchemas}
ORDER BY 1, 2`
}

/** What is an extension's, or everybody's to call, is left as it is. */
const functionsQuery = (who: string): string => `
SELECT n.nspname AS schema, p.proname AS name, p.pronargs::int AS arguments,
  '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')' AS signature,
  coalesce(pg_catalog.has_function_privilege(${who}, p.oid, 'EXECUTE'), false) AS held
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.oid >= ${firstUserOid} AND ${ownSchemas}
  AND NOT pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
    WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1, 2, 4`
