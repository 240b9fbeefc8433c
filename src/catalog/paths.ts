// By which ways code runs that a statement does not name: a trigger, default, check or rule of what it writes,
// what a view reads, a domain's check; and how one relation leads to others: children, foreign keys that
// pass changes on, views and rules. Rows only. Ignorant of which code matters (changes.ts, snapshot.ts).
// PostgreSQL documentation, chapters "System Catalogs" and "The Rule System".

import { firstUserOid } from '../policy/catalog.ts'

interface ThingRow {
  readonly schema: string
  /** Of a relation or a domain. */
  readonly name: string
  /** For whoever writes it; else for whoever reads it, or converts to it. */
  readonly write: boolean
}

/** A function that is run. Of the server's own only set_config is among them. */
export interface BehindRow extends ThingRow {
  readonly functionSchema: string
  readonly functionName: string
  /** `trigger`, `default`, `check`, `rule`, `query`. */
  readonly by: string
}

/** To write or read the one is to write or read the other. */
export interface LeadRow extends ThingRow {
  readonly toSchema: string
  readonly toName: string
}

export interface PathRows {
  readonly behind: readonly BehindRow[]
  readonly leads: readonly LeadRow[]
}

/** Set in a node tree, set_config is 2078: pinned functions have no rows in pg_depend. */
const setConfig = 2078

export const behindQuery = `
WITH held AS (
  SELECT 'pg_catalog.pg_attrdef'::regclass AS class, oid, adrelid AS relation, 0::oid AS domain,
    adbin::text AS tree, 'default' AS by
  FROM pg_catalog.pg_attrdef
  UNION ALL
  SELECT 'pg_catalog.pg_constraint'::regclass, oid, conrelid, contypid, conbin::text, 'check'
  FROM pg_catalog.pg_constraint WHERE contype = 'c' AND oid >= ${firstUserOid}
  UNION ALL
  SELECT 'pg_catalog.pg_rewrite'::regclass, oid, ev_class, 0,
    ev_qual::text || ev_action::text,
    CASE WHEN ev_type = '1' THEN 'query' ELSE 'rule' END
  FROM pg_catalog.pg_rewrite WHERE oid >= ${firstUserOid}
),
made AS (
  SELECT tgrelid AS relation, 0::oid AS domain, tgfoid::oid AS function, 'trigger' AS by
  FROM pg_catalog.pg_trigger WHERE NOT tgisinternal OR tgparentid <> 0
  UNION ALL
  SELECT held.relation, held.domain, used.function, held.by
  FROM held
  CROSS JOIN LATERAL (
    SELECT coalesce(o.oprcode::oid, d.refobjid) AS function
    FROM pg_catalog.pg_depend AS d
    LEFT JOIN pg_catalog.pg_operator AS o
      ON d.refclassid = 'pg_catalog.pg_operator'::regclass AND o.oid = d.refobjid
    WHERE d.classid = held.class AND d.objid = held.oid
      AND (o.oid IS NOT NULL OR d.refclassid = 'pg_catalog.pg_proc'::regclass)
    UNION
    SELECT ${setConfig} WHERE pg_catalog.strpos(held.tree, ':funcid ${setConfig} ') > 0
  ) AS used
)
SELECT DISTINCT n.nspname AS schema, coalesce(c.relname, t.typname) AS name, access.write,
  pn.nspname AS "functionSchema", p.proname AS "functionName", made.by
FROM made
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = made.relation
LEFT JOIN pg_catalog.pg_type AS t ON t.oid = made.domain
JOIN pg_catalog.pg_namespace AS n ON n.oid = coalesce(c.relnamespace, t.typnamespace)
JOIN pg_catalog.pg_proc AS p
  ON p.oid = made.function AND (p.oid >= ${firstUserOid} OR p.oid = ${setConfig})
JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.pronamespace
-- A domain is checked whoever makes a value of it.
JOIN (VALUES (true), (false)) AS access (write)
  ON t.oid IS NOT NULL OR access.write = (made.by <> 'query')
ORDER BY 1, 2, 3, 4, 5, 6`

/** A view passes on what is done to it; so does what a rule does, to whatever the rule names. */
export const leadsQuery = `
WITH lead AS (
  SELECT inhparent AS relation, inhrelid AS "to", 0::oid AS domain, true AS write
  FROM pg_catalog.pg_inherits
  UNION ALL
  SELECT confrelid, conrelid, 0, true FROM pg_catalog.pg_constraint
  WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))
  UNION ALL
  SELECT r.ev_class, CASE WHEN d.refclassid = 'pg_catalog.pg_class'::regclass THEN d.refobjid ELSE 0 END,
    CASE WHEN d.refclassid = 'pg_catalog.pg_type'::regclass THEN d.refobjid ELSE 0 END, access.write
  FROM pg_catalog.pg_rewrite AS r
  JOIN pg_catalog.pg_class AS v ON v.oid = r.ev_class AND (v.relkind = 'v' OR r.ev_type <> '1')
  JOIN pg_catalog.pg_depend AS d
    ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid AND d.refobjid <> r.ev_class
    AND d.refclassid IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_type'::regclass)
  JOIN (VALUES (true), (false)) AS access (write) ON r.ev_type = '1' OR access.write
  WHERE r.oid >= ${firstUserOid}
  UNION ALL
  SELECT a.attrelid, 0, a.atttypid, true
  FROM pg_catalog.pg_attribute AS a
  JOIN pg_catalog.pg_type AS d ON d.oid = a.atttypid AND d.typtype = 'd'
  WHERE a.atttypid >= ${firstUserOid} AND a.attnum > 0
)
SELECT DISTINCT n.nspname AS schema, c.relname AS name, lead.write,
  tn.nspname AS "toSchema", coalesce(tc.relname, t.typname) AS "toName"
FROM lead
JOIN pg_catalog.pg_class AS c ON c.oid = lead.relation
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class AS tc ON tc.oid = lead."to" AND lead."to" <> 0
LEFT JOIN pg_catalog.pg_type AS t ON t.oid = lead.domain AND t.typtype = 'd'
JOIN pg_catalog.pg_namespace AS tn ON tn.oid = coalesce(tc.relnamespace, t.typnamespace)
WHERE coalesce(tc.oid, t.oid) >= ${firstUserOid}
ORDER BY 1, 2, 3, 4, 5`
