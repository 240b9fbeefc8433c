// The commands that policy speaks of: PostgreSQL's command tags (cmdtaglist.h), told apart where one
// tag covers things of very different weight (`COPY` to the client, to a file, to a program), with
// pgaudit's class of each. Data only: which node of a parse tree is which command is in statements.ts,
// who may run it is in policy/.

import type { StatementClass } from './facts.ts'

interface Section {
  readonly class: StatementClass
  /**
   * True for commands that a class does not stand for: they reach past the data and schema of one
   * database (files, programs, code, other sessions, rights) whatever class pgaudit files them under.
   */
  readonly byNameOnly: boolean
  readonly commands: readonly string[]
}

/** Objects that live in a schema and hold no code, rights or connections. */
const schemaObjects = words(`
  TABLE, INDEX, SEQUENCE, VIEW, MATERIALIZED VIEW, TYPE, DOMAIN, SCHEMA, TRIGGER, RULE, STATISTICS,
  COLLATION, TEXT SEARCH CONFIGURATION, TEXT SEARCH DICTIONARY`)

const otherObjects = words(`
  ACCESS METHOD, AGGREGATE, CAST, CONVERSION, DATABASE, EVENT TRIGGER, EXTENSION,
  FOREIGN DATA WRAPPER, FOREIGN TABLE, FUNCTION, LANGUAGE, LARGE OBJECT, OPERATOR, OPERATOR CLASS,
  OPERATOR FAMILY, POLICY, PROCEDURE, PUBLICATION, ROUTINE, SERVER, SUBSCRIPTION, TABLESPACE,
  TEXT SEARCH PARSER, TEXT SEARCH TEMPLATE, TRANSFORM, USER MAPPING`)

const lockModes = words(`
  ACCESS SHARE, ROW SHARE, ROW EXCLUSIVE, SHARE UPDATE EXCLUSIVE, SHARE, SHARE ROW EXCLUSIVE,
  EXCLUSIVE, ACCESS EXCLUSIVE`)

const sections: readonly Section[] = [
  { class: 'READ', byNameOnly: false, commands: words('SELECT, COPY TO') },
  {
    class: 'WRITE',
    byNameOnly: false,
    commands: words(`
      INSERT, UPDATE, DELETE, MERGE, TRUNCATE TABLE, COPY FROM, SELECT FOR UPDATE,
      SELECT FOR NO KEY UPDATE, SELECT FOR SHARE, SELECT FOR KEY SHARE`),
  },
  {
    class: 'WRITE',
    byNameOnly: true,
    commands: words('COPY TO FILE, COPY TO PROGRAM, COPY FROM FILE, COPY FROM PROGRAM'),
  },
  { class: 'FUNCTION', byNameOnly: false, commands: words('CALL') },
  { class: 'FUNCTION', byNameOnly: true, commands: words('DO') },
  {
    class: 'ROLE',
    byNameOnly: false,
    commands: words(`
      GRANT, REVOKE, GRANT ROLE, REVOKE ROLE, CREATE ROLE, ALTER ROLE, DROP ROLE,
      ALTER DEFAULT PRIVILEGES, DROP OWNED, REASSIGN OWNED`),
  },
  {
    class: 'DDL',
    byNameOnly: false,
    commands: [
      ...schemaObjects.flatMap((object) => [
        `CREATE ${object}`,
        `ALTER ${object}`,
        `DROP ${object}`,
      ]),
      ...words(
        'CREATE TABLE AS, SELECT INTO, COMMENT, REFRESH MATERIALIZED VIEW, REINDEX, CLUSTER',
      ),
    ],
  },
  {
    class: 'DDL',
    byNameOnly: true,
    commands: [
      ...otherObjects.flatMap((object) => [
        `CREATE ${object}`,
        `ALTER ${object}`,
        `DROP ${object}`,
      ]),
      ...[...schemaObjects, ...otherObjects].map((object) => `ALTER ${object} OWNER`),
      ...[...otherObjects, 'ROLE'].map((object) => `COMMENT ON ${object}`),
      ...words(`
        ALTER TABLE ROW SECURITY, ALTER TABLE ALL IN TABLESPACE, ALTER DEPENDS ON EXTENSION,
        CREATE SCHEMA AUTHORIZATION, CREATE BASE TYPE, ALTER BASE TYPE, REINDEX DATABASE,
        REINDEX SYSTEM, IMPORT FOREIGN SCHEMA, SECURITY LABEL, ALTER SYSTEM`),
    ],
  },
  {
    class: 'MISC',
    byNameOnly: false,
    commands: [
      ...lockModes.map((mode) => `LOCK TABLE ${mode}`),
      ...words(`
        EXPLAIN, SHOW, DECLARE CURSOR, FETCH, MOVE, CLOSE CURSOR, CLOSE CURSOR ALL, PREPARE, EXECUTE,
        DEALLOCATE, DEALLOCATE ALL, BEGIN, BEGIN READ WRITE, START TRANSACTION,
        START TRANSACTION READ WRITE, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, ROLLBACK TO SAVEPOINT,
        SET CONSTRAINTS, LISTEN, UNLISTEN, NOTIFY, VACUUM, ANALYZE, DISCARD ALL, DISCARD PLANS,
        DISCARD SEQUENCES, DISCARD TEMP`),
    ],
  },
  {
    class: 'MISC',
    byNameOnly: true,
    commands: words('PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED, CHECKPOINT, LOAD'),
  },
  {
    class: 'MISC_SET',
    byNameOnly: false,
    commands: words(
      'SET, RESET, SET TRANSACTION READ WRITE, SET SESSION CHARACTERISTICS READ WRITE',
    ),
  },
]

/** Commands whose tag, as PostgreSQL would name the statement, is not their own name. */
const tags: ReadonlyMap<string, string> = new Map([
  ...['COPY TO', 'COPY TO FILE', 'COPY TO PROGRAM'].map((command) => pair(command, 'COPY')),
  ...['COPY FROM', 'COPY FROM FILE', 'COPY FROM PROGRAM'].map((command) => pair(command, 'COPY')),
  ...lockModes.map((mode) => pair(`LOCK TABLE ${mode}`, 'LOCK TABLE')),
  ...[...schemaObjects, ...otherObjects].map((o) => pair(`ALTER ${o} OWNER`, `ALTER ${o}`)),
  ...[...otherObjects, 'ROLE'].map((object) => pair(`COMMENT ON ${object}`, 'COMMENT')),
  pair('BEGIN READ WRITE', 'BEGIN'),
  pair('START TRANSACTION READ WRITE', 'START TRANSACTION'),
  pair('ROLLBACK TO SAVEPOINT', 'ROLLBACK'),
  pair('SET TRANSACTION READ WRITE', 'SET'),
  pair('SET SESSION CHARACTERISTICS READ WRITE', 'SET'),
  pair('ALTER TABLE ROW SECURITY', 'ALTER TABLE'),
  pair('ALTER TABLE ALL IN TABLESPACE', 'ALTER TABLE'),
  pair('ALTER DEPENDS ON EXTENSION', 'ALTER'),
  pair('CREATE SCHEMA AUTHORIZATION', 'CREATE SCHEMA'),
  pair('CREATE BASE TYPE', 'CREATE TYPE'),
  pair('ALTER BASE TYPE', 'ALTER TYPE'),
  pair('REINDEX DATABASE', 'REINDEX'),
  pair('REINDEX SYSTEM', 'REINDEX'),
])

/** In ascending order of what a statement of the class changes. */
const weights: readonly StatementClass[] = [
  'MISC',
  'MISC_SET',
  'READ',
  'WRITE',
  'FUNCTION',
  'DDL',
  'ROLE',
]

/** Every command there is, with its class. A command that is not here is known to nobody. */
export const commandClasses: ReadonlyMap<string, StatementClass> = new Map(
  sections.flatMap((section) =>
    section.commands.map((command): [string, StatementClass] => [command, section.class]),
  ),
)

/** Those that reach past the data and schema of one database, or hold code that no text shows. */
export const farReaching: ReadonlySet<string> = new Set(
  sections.filter(({ byNameOnly }) => byNameOnly).flatMap(({ commands }) => commands),
)

/** The commands that the name of a class stands for, in a role's list. */
export function commandsOfClass(name: string): readonly string[] {
  return sections
    .filter((section) => section.class === name && !section.byNameOnly)
    .flatMap((section) => section.commands)
}

/** PostgreSQL's tag of a command: `COPY` for `COPY TO PROGRAM`. */
export function tagOf(command: string): string {
  return tags.get(command) ?? command
}

/** The weightiest of some classes; MISC when there are none. */
export function heaviest(classes: readonly StatementClass[]): StatementClass {
  return weights.findLast((candidate) => classes.includes(candidate)) ?? 'MISC'
}

/** PostgreSQL's name of a lock mode, 1 (ACCESS SHARE) to 8 (ACCESS EXCLUSIVE). */
export function lockMode(mode: number): string | undefined {
  return lockModes[mode - 1]
}

function words(text: string): readonly string[] {
  return text.split(',').map((word) => word.trim())
}

function pair(command: string, tag: string): readonly [string, string] {
  return [command, tag]
}
