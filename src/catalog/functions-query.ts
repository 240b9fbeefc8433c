// What is read of each function that is not the server's own: how it is called, whether it is read-only, and what
// its text shows of settings that it changes and of names that it touches. Ignorant of what follows from that
// (changes.ts, paths.ts). PostgreSQL documentation, chapter "System Catalogs": pg_proc, pg_aggregate, pg_depend.

import { firstUserOid } from '../policy/catalog.ts'

/** In bytes. What is longer is not looked into, and counts as unseen. */
const longestBody = 64 * 1024

/**
 * A function's text is looked into for settings that it changes: set_config with a constant name, SET with a
 * name that has a dot. Everything else that could change one makes the name unknown. (Bodies in SQL's own
 * syntax are trees: 2078 is the OID of set_config.) Functions of extensions in C that are labelled not
 * volatile are believed.
 */
export const functionsQuery = `
WITH own AS (
  SELECT pg_catalog.lower(proname::text) AS name FROM pg_catalog.pg_proc WHERE oid >= ${firstUserOid}
  UNION
  SELECT pg_catalog.lower(relname::text) FROM pg_catalog.pg_class
  WHERE oid >= ${firstUserOid} AND relkind IN ('r', 'p', 'v', 'f')
  UNION
  SELECT pg_catalog.lower(typname::text) FROM pg_catalog.pg_type
  WHERE oid >= ${firstUserOid} AND typtype = 'd'
),
-- All texts at once: names are as many as functions, and looking each up for each takes quadratic time.
mentioned AS (
  SELECT p.oid, pg_catalog.array_agg(DISTINCT own.name) AS names
  FROM pg_catalog.pg_proc AS p
  JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang AND l.lanname IN ('sql', 'plpgsql')
  CROSS JOIN LATERAL pg_catalog.regexp_split_to_table(
    pg_catalog.lower(p.prosrc), '[^[:alnum:]_$]+') AS word
  JOIN own ON own.name = word
  WHERE p.oid >= ${firstUserOid} AND pg_catalog.octet_length(p.prosrc) <= ${longestBody}
  GROUP BY p.oid
),
-- Names that are not one word of a text, and operators, are looked for anywhere in it.
odd AS (
  SELECT name, pg_catalog.replace(name, '"', '""') AS written FROM own WHERE name !~ '^[a-z0-9_$]+$'
  UNION
  SELECT pg_catalog.lower(p.proname::text), o.oprname::text
  FROM pg_catalog.pg_operator AS o JOIN pg_catalog.pg_proc AS p ON p.oid = o.oprcode
  WHERE o.oid >= ${firstUserOid} AND p.oid >= ${firstUserOid}
)
SELECT n.nspname AS schema, p.proname AS name,
  p.provolatile = 'v' OR EXISTS (
    SELECT FROM pg_catalog.pg_proc AS support
    WHERE support.provolatile = 'v' AND support.oid IN (aggtransfn, aggfinalfn, aggcombinefn,
      aggserialfn, aggdeserialfn, aggmtransfn, aggminvtransfn, aggmfinalfn)) AS volatile,
  -- The arguments in WITHIN GROUP (ORDER BY ...) are not in the call's parentheses.
  CASE WHEN aggkind IN ('o', 'h') THEN aggnumdirectargs::int
    ELSE p.pronargs - p.pronargdefaults END AS least,
  CASE WHEN p.provariadic = 0 THEN p.pronargs END AS most,
  e.extname AS extension,
  p.proargtypes::oid[] || p.prorettype AS types,
  CASE WHEN p.prokind = 'a' THEN true
    WHEN l.lanname IN ('sql', 'plpgsql') THEN body.readable
      AND p.prosrc !~* '\\mexecute\\M|_to_xml|dblink'
    ELSE l.lanname = 'c' AND e.extname IS NOT NULL AND p.provolatile <> 'v' END AS plain,
  ARRAY(
    SELECT pg_catalog.lower(pg_catalog.split_part(setting, '=', 1)) FROM pg_catalog.unnest(p.proconfig) AS setting
    UNION
    SELECT pg_catalog.lower(named[1]) FROM pg_catalog.regexp_matches(
      body.text, 'set_config\\s*\\(\\s*''([^'']*)''\\s*,', 'gi') AS named
    UNION
    SELECT pg_catalog.lower(pg_catalog.regexp_replace(named[1], '["[:space:]]', '', 'g')) FROM pg_catalog.regexp_matches(
      body.text, '\\mset\\s+(?:(?:local|session)\\s+)?("?[a-z_][\\w$]*"?(?:\\s*\\.\\s*"?[\\w$]+"?)+)', 'gi') AS named
    UNION
    SELECT '*' WHERE p.prosqlbody::text ~ ':funcid 2078\\M' OR 2078 IN (aggtransfn, aggfinalfn)
      OR (body.text ~* 'pg_settings' AND body.text ~* '\\mupdate\\M')
      OR pg_catalog.regexp_count(body.text, 'set_config', 1, 'i')
        > pg_catalog.regexp_count(body.text, 'set_config\\s*\\(\\s*''[^'']*''\\s*,', 1, 'i')
    ORDER BY 1
  ) AS sets,
  ARRAY(
    SELECT pg_catalog.unnest(m.names) AS name
    UNION
    SELECT name FROM odd WHERE pg_catalog.strpos(pg_catalog.lower(body.text), written) > 0
    UNION
    SELECT pg_catalog.lower(coalesce(called.proname, named.relname, domain.typname)::text)
    FROM pg_catalog.pg_depend AS uses
    LEFT JOIN pg_catalog.pg_operator AS o
      ON o.oid = uses.refobjid AND uses.refclassid = 'pg_catalog.pg_operator'::regclass
    LEFT JOIN pg_catalog.pg_proc AS called ON called.oid = coalesce(o.oprcode::oid,
      CASE WHEN uses.refclassid = 'pg_catalog.pg_proc'::regclass THEN uses.refobjid END)
    LEFT JOIN pg_catalog.pg_class AS named
      ON named.oid = uses.refobjid AND uses.refclassid = 'pg_catalog.pg_class'::regclass
    LEFT JOIN pg_catalog.pg_type AS domain
      ON domain.oid = uses.refobjid AND uses.refclassid = 'pg_catalog.pg_type'::regclass
    WHERE uses.classid = 'pg_catalog.pg_proc'::regclass AND uses.objid = p.oid
      AND coalesce(called.oid, named.oid, domain.oid) >= ${firstUserOid}
    ORDER BY 1
  ) AS calls,
  p.prosqlbody IS NOT NULL OR body.text ~* '\\m(insert|update|delete|merge|copy|truncate)\\M' AS writes
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
CROSS JOIN LATERAL (
  SELECT pg_catalog.octet_length(p.prosrc) <= ${longestBody} AS readable,
    CASE WHEN l.lanname IN ('sql', 'plpgsql') AND pg_catalog.octet_length(p.prosrc) <= ${longestBody}
      -- With comments and without: what looks like one may stand in a string.
      THEN p.prosrc || E'\\n' || pg_catalog.regexp_replace(
        pg_catalog.regexp_replace(p.prosrc, '/\\*.*?\\*/', ' ', 'g'), '--[^\\n]*', ' ', 'g')
      ELSE '' END AS text
  -- Once for all that is asked of it.
  OFFSET 0
) AS body
LEFT JOIN mentioned AS m ON m.oid = p.oid
LEFT JOIN pg_catalog.pg_aggregate AS a ON a.aggfnoid = p.oid
LEFT JOIN pg_catalog.pg_depend AS d
  ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
WHERE p.oid >= ${firstUserOid}
ORDER BY p.oid`
