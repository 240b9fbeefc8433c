// Roles are data: what a role may run, as lists that an operator can read and extend. The four
// predefined ones are written in the same words as an operator's own, and judged by the same code.
// The order of this file is the order of power, which is how "ask for more" finds the least role.

import type { RelationRules } from '../access/access.ts'

/** What a function may do; see function-names.ts. */
export type FunctionClass = 'harmless' | 'writing' | 'maintaining' | 'administrative'

/** What a role may do with the server's own relations beyond reading them. */
export type CatalogPower =
  /** Read those that hold password hashes, connection strings or other people's data. */
  | 'secrets'
  /** Read what ANALYZE has collected: values of any table, the secret ones too where the login may. */
  | 'statistics'
  /** Write them: the right to do anything. */
  | 'write'

/** For how long a session may do what, in milliseconds; undefined: for ever. */
export interface SessionLimits {
  /** Nothing runs, no transaction is open, and nothing has been said. */
  readonly idleMs: number | undefined
  /** A transaction is open in which nothing runs. */
  readonly idleInTransactionMs: number | undefined
  /** From a transaction's first statement to its end. */
  readonly transactionMs: number | undefined
  /** From the session's start; a transaction that is open then has another minute. */
  readonly sessionMs: number | undefined
}

export interface RoleDefinition {
  readonly name: string
  /** Roles whose permissions this one has as well. Only permissions: `readOnly` is not inherited. */
  readonly includes?: readonly string[]
  /**
   * Commands by name (commands.ts), by statement class (`WRITE`, `DDL`, ...: the commands of that
   * class which stay within data and schema) or `*` for all. `!NAME` takes one away again, whatever
   * allowed it.
   */
  readonly commands?: readonly string[]
  readonly functions?: {
    /** Classes of known functions that may be called. */
    readonly classes?: readonly FunctionClass[]
    /** Functions that nobody has classed: the database's own, or of an unknown extension. */
    readonly userDefined?: boolean
    /** Single functions, `name` or `schema.name`, whatever their class. */
    readonly allow?: readonly string[]
    /** Single functions that may not be called, whatever else allows it. */
    readonly deny?: readonly string[]
  }
  /** Settings by group (settings.ts), by name, by prefix (`app.*`) or `*` for all. */
  readonly settings?: readonly string[]
  readonly catalogs?: readonly CatalogPower[]
  /** Which relations outside the server's own schemas may be touched; see relations.ts. */
  readonly relations?: RelationRules
  /** Whether it may touch what a target calls sensitive. */
  readonly sensitive?: boolean
  /** Upper limits of settings, by name; see ceilings.ts. */
  readonly limits?: Readonly<Record<string, string>>
  /** Kept by the proxy, where the settings of the server could be moved; the lowest of included roles' holds. */
  readonly sessions?: SessionLimits
  /** Pin the upstream session with default_transaction_read_only=on, as a second line of defence. */
  readonly readOnly?: boolean
}

export const predefinedRoles: readonly RoleDefinition[] = [
  {
    name: 'read_only',
    commands: [
      'SELECT',
      'COPY TO',
      'EXPLAIN',
      'SHOW',
      'DECLARE CURSOR',
      'FETCH',
      'MOVE',
      'CLOSE CURSOR',
      'CLOSE CURSOR ALL',
      'PREPARE',
      'EXECUTE',
      'DEALLOCATE',
      'DEALLOCATE ALL',
      'BEGIN',
      'START TRANSACTION',
      'COMMIT',
      'ROLLBACK',
      'SAVEPOINT',
      'RELEASE',
      'ROLLBACK TO SAVEPOINT',
      'SET',
      'RESET',
      'SET CONSTRAINTS',
      'LISTEN',
      'UNLISTEN',
      'DISCARD ALL',
      'DISCARD PLANS',
      'DISCARD SEQUENCES',
      'DISCARD TEMP',
      // pg_dump takes it on every table; it stands in the way of DROP and the like only.
      'LOCK TABLE ACCESS SHARE',
    ],
    functions: { classes: ['harmless'] },
    settings: ['harmless', 'limits', 'planner', 'transaction', 'names'],
    readOnly: true,
  },
  {
    name: 'read_limited_write',
    includes: ['read_only'],
    commands: [
      'INSERT',
      'UPDATE',
      'DELETE',
      'MERGE',
      'COPY FROM',
      'SELECT FOR UPDATE',
      'SELECT FOR NO KEY UPDATE',
      'SELECT FOR SHARE',
      'SELECT FOR KEY SHARE',
      'NOTIFY',
      'LOCK TABLE ROW SHARE',
      'LOCK TABLE ROW EXCLUSIVE',
      'LOCK TABLE SHARE UPDATE EXCLUSIVE',
      'LOCK TABLE SHARE',
      'LOCK TABLE SHARE ROW EXCLUSIVE',
      'LOCK TABLE EXCLUSIVE',
      'BEGIN READ WRITE',
      'START TRANSACTION READ WRITE',
      'SET TRANSACTION READ WRITE',
      'SET SESSION CHARACTERISTICS READ WRITE',
    ],
    functions: { classes: ['writing'], userDefined: true },
    settings: ['read_write', 'durability'],
  },
  {
    name: 'read_full_write',
    includes: ['read_limited_write'],
    commands: ['DDL', 'TRUNCATE TABLE', 'CALL', 'VACUUM', 'ANALYZE', 'LOCK TABLE ACCESS EXCLUSIVE'],
    functions: { classes: ['maintaining'] },
    settings: ['storage'],
  },
  {
    name: 'admin',
    includes: ['read_full_write'],
    commands: ['*'],
    functions: { classes: ['administrative'] },
    settings: ['*'],
    catalogs: ['secrets', 'statistics', 'write'],
    sensitive: true,
  },
]
