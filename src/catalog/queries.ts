// What is read of a target's catalog, as rows: user code and whatever may run it unseen. One read-only
// transaction; every login may read these tables. Ignorant of what follows from the rows (snapshot.ts).
// PostgreSQL documentation, chapter "System Catalogs"; the same for versions 15 to 18.

import { Failure } from '../errors.ts'
import { firstUserOid } from '../policy/catalog.ts'
import {
  type DefinedRow,
  type DefinitionTexts,
  definitionTexts,
  type Query,
} from './definition-texts.ts'
import { functionsQuery } from './functions-query.ts'
import { type BehindRow, behindQuery, type LeadRow, leadsQuery, type PathRows } from './paths.ts'

export interface FunctionRow {
  readonly schema: string
  readonly name: string
  readonly volatile: boolean
  readonly least: number
  /** Null for a variadic one. */
  readonly most: number | null
  readonly extension: string | null
  /** Of the arguments and the result. */
  readonly types: readonly number[]
  /** Whether its text can be read, and shows all SQL that it runs. */
  readonly plain: boolean
  /** Settings that its SET clauses and its text name; `*` where it computes the name of one. */
  readonly sets: readonly string[]
  /** What its text names, as far as it is somebody's own: functions, relations, domains. In lower case. */
  readonly calls: readonly string[]
  /** Whether it may write what it names. */
  readonly writes: boolean
}

interface ChildRow {
  readonly childSchema: string
  readonly childName: string
  readonly parentSchema: string
  readonly parentName: string
}

/** The function behind an operator or a cast. */
interface Behind {
  readonly functionSchema: string
  readonly functionName: string
}

interface OperatorRow extends Behind {
  readonly schema: string
  readonly name: string
  readonly volatile: boolean
  readonly types: readonly number[]
}

/** A cast by a volatile function. */
export interface CastRow extends Behind {
  readonly source: number
  readonly target: number
  /** Whether it needs no `::type` to happen. */
  readonly implicit: boolean
}

/** A type that the server compares or hashes by a volatile function, where no operator is written. */
interface OrderRow extends Behind {
  readonly type: number
}

/** Its condition is empty where it cannot be had. */
interface CheckRow {
  readonly domain: number
  readonly condition: string
}

/** A type that is checked, cast or ordered, or in which a value of such a type can stand. */
export interface TypeRow {
  readonly type: number
  readonly schema: string
  readonly name: string
  /** The types that its values are made of. */
  readonly parts: readonly number[]
  /** Whether it is made of columns: by itself, or as the type of a relation's rows. */
  readonly columns: 'relation' | 'composite' | null
}

/** Its definition is empty where it cannot be had. */
export interface ViewRow {
  readonly schema: string
  readonly name: string
  readonly definition: string
}

interface RelationRow {
  readonly schema: string
  readonly name: string
}

/** User code, and what refers to it directly. */
export interface CodeRows {
  readonly serverVersion: number
  readonly functions: readonly FunctionRow[]
  readonly operators: readonly OperatorRow[]
  readonly casts: readonly CastRow[]
  readonly orders: readonly OrderRow[]
  readonly checks: readonly CheckRow[]
}

export interface CatalogRows extends CodeRows, PathRows {
  readonly types: readonly TypeRow[]
  readonly views: readonly ViewRow[]
  readonly relations: readonly RelationRow[]
  readonly children: readonly ChildRow[]
}

type Refused = Pick<DefinitionTexts, 'refused'>

/** Relations, functions and everything else alike. */
const mostRows = 500_000

/** The first to be asked for in a transaction. @throws Failure when there is too much of something. */
export async function readCode(query: Query): Promise<CodeRows & Refused> {
  // Without a search path definitions come out with every name qualified that is not the server's own.
  await query(`SET LOCAL search_path = ''`)
  const [version] = await query<{ readonly version: number }>(
    `SELECT current_setting('server_version_num')::int AS version`,
  )
  return {
    serverVersion: version?.version ?? 0,
    functions: await bounded(query, functionsQuery),
    operators: await bounded(query, operatorsQuery),
    casts: await bounded(query, castsQuery),
    orders: await bounded(query, ordersQuery),
    ...(await readChecks(query)),
  }
}

async function readChecks(query: Query): Promise<Pick<CodeRows, 'checks'> & Refused> {
  const rows = await bounded<DefinedRow & { readonly domain: number }>(query, checksQuery)
  const { texts, refused } = await definitionTexts(query, rows, {
    oid: 'c.oid',
    expression: 'pg_catalog.pg_get_expr(c.conbin, 0)',
    from: "FROM pg_catalog.pg_constraint AS c WHERE c.contypid <> 0 AND c.contype = 'c'",
  })
  const checks = rows.map(({ oid, domain }) => ({ domain, condition: texts.get(oid) ?? '' }))
  return { checks, refused }
}

/** A look at every column of the database: to be spared where no type runs code. @throws Failure */
export function readTypes(query: Query): Promise<readonly TypeRow[]> {
  return bounded(query, typesQuery)
}

/** @throws Failure when there is too much of something. */
export async function readRelations(
  query: Query,
): Promise<Omit<CatalogRows, keyof CodeRows | 'types'> & Refused> {
  const children = await bounded<ChildRow>(query, childrenQuery)
  const behind = await bounded<BehindRow>(query, behindQuery)
  const leads = await bounded<LeadRow>(query, leadsQuery)
  const relations = await bounded<RelationRow>(query, relationsQuery)
  const rows = await bounded<DefinedRow & RelationRow>(query, viewsQuery)
  const { texts, refused } = await definitionTexts(query, rows, {
    oid: 'c.oid',
    expression: 'pg_catalog.pg_get_viewdef(c.oid)',
    from: "FROM pg_catalog.pg_class AS c WHERE c.relkind = 'v'",
  })
  const views = rows.map(({ oid, ...view }) => ({ ...view, definition: texts.get(oid) ?? '' }))
  return { relations, children, behind, leads, views, refused }
}

async function bounded<Row extends object>(query: Query, text: string): Promise<readonly Row[]> {
  const rows = await query<Row>(`${text}\nLIMIT ${mostRows + 1}`)
  if (rows.length <= mostRows) return rows
  throw new Failure('feature_not_supported', {
    message: `the catalog has more than ${mostRows} objects of a kind that snapshots hold`,
    hint: 'Write catalog: { snapshot: false } for this target.',
  })
}

/** An operator that stands for an order or a hash (USING, joins) calls what else is in its class. */
const operatorsQuery = `
SELECT n.nspname AS schema, o.oprname AS name, p.provolatile = 'v' AS volatile,
  pn.nspname AS "functionSchema", p.proname AS "functionName",
  ARRAY[o.oprleft, o.oprright, o.oprresult] AS types
FROM pg_catalog.pg_operator AS o
JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
CROSS JOIN LATERAL (
  SELECT o.oprcode::oid AS function
  UNION
  SELECT s.amproc::oid
  FROM pg_catalog.pg_amop AS m
  JOIN pg_catalog.pg_amproc AS s ON s.amprocfamily = m.amopfamily
  JOIN pg_catalog.pg_proc AS support ON support.oid = s.amproc AND support.provolatile = 'v'
  WHERE m.amopopr = o.oid
) AS behind
JOIN pg_catalog.pg_proc AS p ON p.oid = behind.function
JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.pronamespace
WHERE o.oid >= ${firstUserOid}
ORDER BY o.oid, p.oid`

const castsQuery = `
SELECT c.castsource AS source, c.casttarget AS target, c.castcontext = 'i' AS implicit,
  pn.nspname AS "functionSchema", p.proname AS "functionName"
FROM pg_catalog.pg_cast AS c
JOIN pg_catalog.pg_proc AS p ON p.oid = c.castfunc
JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.pronamespace
WHERE c.oid >= ${firstUserOid} AND p.provolatile = 'v'
ORDER BY c.oid`

/**
 * DISTINCT, GROUP BY, ORDER BY, UNION and joins take what they need from the operator classes of btree
 * and hash. A class of the server's own type that is not its default is used where it is asked for.
 */
const ordersQuery = `
SELECT DISTINCT m.type, pn.nspname AS "functionSchema", p.proname AS "functionName"
FROM (
  SELECT amopfamily AS family, amoplefttype AS lefttype, amoprighttype AS righttype,
    oprcode::oid AS function
  FROM pg_catalog.pg_amop JOIN pg_catalog.pg_operator AS o ON o.oid = amopopr
  UNION
  SELECT amprocfamily, amproclefttype, amprocrighttype, amproc::oid FROM pg_catalog.pg_amproc
) AS member
JOIN pg_catalog.pg_opfamily AS f ON f.oid = member.family
JOIN pg_catalog.pg_am AS am ON am.oid = f.opfmethod AND am.amname IN ('btree', 'hash')
JOIN pg_catalog.pg_proc AS p ON p.oid = member.function AND p.provolatile = 'v'
JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.pronamespace
CROSS JOIN LATERAL (
  SELECT type FROM (VALUES (member.lefttype), (member.righttype)) AS both_ends (type)
  WHERE type >= ${firstUserOid}
  UNION
  SELECT c.opcintype FROM pg_catalog.pg_opclass AS c
  WHERE c.opcfamily = member.family AND c.opcdefault
    AND member.lefttype = c.opcintype AND member.righttype = c.opcintype
  UNION
  -- A range compares its bounds by a class of its own choice.
  SELECT r.rngtypid FROM pg_catalog.pg_range AS r
  JOIN pg_catalog.pg_opclass AS c ON c.oid = r.rngsubopc
  WHERE c.opcfamily = member.family AND c.opcintype IN (member.lefttype, member.righttype)
  UNION
  -- To the rows of a table it matters how its indexes compare, which are found by plain operators.
  SELECT t.reltype FROM pg_catalog.pg_opclass AS c
  JOIN pg_catalog.pg_index AS i ON c.oid = ANY (i.indclass::oid[])
  JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
  WHERE c.opcfamily = member.family AND c.opcintype IN (member.lefttype, member.righttype)
) AS m
ORDER BY m.type, "functionSchema", "functionName"`

const checksQuery = `
SELECT c.oid, c.contypid AS domain
FROM pg_catalog.pg_constraint AS c
WHERE c.contypid <> 0 AND c.contype = 'c' AND c.oid >= ${firstUserOid}
ORDER BY c.oid`

/** From the checked, cast and ordered types to all that can hold a value of one, however deep. */
const typesQuery = `
WITH RECURSIVE
root (type) AS (
  SELECT contypid FROM pg_catalog.pg_constraint WHERE contypid <> 0 AND contype = 'c' AND oid >= ${firstUserOid}
  UNION
  SELECT e.type
  FROM pg_catalog.pg_cast AS c
  JOIN pg_catalog.pg_proc AS p ON p.oid = c.castfunc
  CROSS JOIN LATERAL (VALUES (c.castsource), (c.casttarget)) AS e (type)
  WHERE c.oid >= ${firstUserOid} AND p.provolatile = 'v'
    -- Nearly everything is made of the server's own types.
    AND (e.type >= ${firstUserOid} OR greatest(c.castsource, c.casttarget) < ${firstUserOid})
  UNION
  SELECT type FROM (${ordersQuery}) AS ordered
),
holds (whole, part) AS MATERIALIZED (
  SELECT oid, typbasetype FROM pg_catalog.pg_type WHERE typtype = 'd'
  UNION ALL
  SELECT oid, typelem FROM pg_catalog.pg_type WHERE typcategory = 'A'
  UNION ALL
  SELECT rngtypid, rngsubtype FROM pg_catalog.pg_range
  UNION ALL
  SELECT rngmultitypid, rngtypid FROM pg_catalog.pg_range
  UNION ALL
  -- The same bytes under another name, that the server takes for either.
  SELECT castsource, casttarget FROM pg_catalog.pg_cast WHERE castmethod = 'b' AND castcontext = 'i'
  UNION ALL
  SELECT c.reltype, a.atttypid
  FROM pg_catalog.pg_attribute AS a
  JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid AND c.reltype <> 0
  WHERE a.attnum > 0 AND NOT a.attisdropped
    AND (a.atttypid >= ${firstUserOid} OR a.atttypid IN (SELECT type FROM root))
),
reached (type) AS (
  SELECT type FROM root
  UNION
  SELECT h.whole FROM holds AS h JOIN reached AS r ON r.type = h.part
)
SELECT t.oid AS type, n.nspname AS schema, t.typname AS name,
  coalesce(made.parts, '{}') AS parts,
  CASE WHEN c.relkind = 'c' THEN 'composite' WHEN c.oid IS NOT NULL THEN 'relation' END AS columns
FROM reached AS r
JOIN pg_catalog.pg_type AS t ON t.oid = r.type
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
LEFT JOIN (
  SELECT whole, array_agg(DISTINCT part) AS parts FROM holds GROUP BY whole
) AS made ON made.whole = t.oid
ORDER BY t.oid`

/** Reading a materialized view runs nothing of its definition. */
const viewsQuery = `
SELECT c.oid, n.nspname AS schema, c.relname AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'v' AND c.oid >= ${firstUserOid}
ORDER BY c.oid`

const relationsQuery = `
SELECT n.nspname AS schema, c.relname AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  -- Temporary ones come and go, and each session knows its own only.
  AND n.nspname !~ '^pg_(toast_)?temp_'
ORDER BY n.nspname, c.relname`

/** Partitions are children too. */
const childrenQuery = `
SELECT cn.nspname AS "childSchema", c.relname AS "childName",
  pn.nspname AS "parentSchema", p.relname AS "parentName"
FROM pg_catalog.pg_inherits AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p', 'f')
JOIN pg_catalog.pg_namespace AS cn ON cn.oid = c.relnamespace
JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent
JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.relnamespace
ORDER BY i.inhrelid, i.inhparent`
