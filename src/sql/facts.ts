// What is known of a query string once it has been parsed: the vocabulary between sql/ (which makes
// facts) and policy/ (which judges them). Ignorant of roles, rules and of the parse tree's shape.

/** pgaudit's statement classes. */
export type StatementClass = 'READ' | 'WRITE' | 'FUNCTION' | 'ROLE' | 'DDL' | 'MISC' | 'MISC_SET'

/**
 * One thing that running the statement would do. A statement has one action for its top level and
 * one for everything nested in it that acts on its own: `WITH d AS (DELETE ...) SELECT` has SELECT
 * and DELETE; `EXPLAIN ANALYZE UPDATE` has EXPLAIN and UPDATE.
 */
export interface Action {
  /**
   * PostgreSQL's command tag (appendix of command tags, cmdtaglist.h), told apart where the tag
   * alone hides what matters: `SELECT FOR UPDATE`, `COPY TO PROGRAM`, `COPY FROM FILE`,
   * `ALTER TABLE OWNER`, `LOCK TABLE ACCESS EXCLUSIVE`, `SET TRANSACTION READ WRITE`, ...
   * The full list is in commands.ts.
   */
  readonly command: string
  readonly class: StatementClass
  /** Where it hides, for people: `top level`, `common table expression "d"`, `EXPLAIN`, `cursor "c"`. */
  readonly where: string
}

/** A function that the statement calls, however the call is written. */
export interface FunctionUse {
  readonly schema: string | undefined
  /** As the server would see it: folded to lower case unless quoted. */
  readonly name: string
  readonly notation: 'call' | 'attribute' | 'tablesample' | 'trigger' | 'syntax'
  /** Number of arguments written; undefined where the notation does not tell. */
  readonly arguments: number | undefined
  /**
   * The constant arguments, undefined where one is not constant. Empty but for the few functions
   * whose arguments decide what they do (lo_open, pg_input_is_valid, ...).
   */
  readonly constants: readonly (string | undefined)[]
  /**
   * For `syntax`: the first server version (as server_version_num) whose grammar has the construct.
   * For an older server the same text is an ordinary call of somebody's function.
   */
  readonly since: number | undefined
}

/** An operator or a type by its name as written; whether it is a user's own is not in the text. */
export interface NameUse {
  readonly schema: string | undefined
  readonly name: string
}

/** The two ends of a COPY. The client is STDIN or STDOUT. */
export interface CopyUse {
  readonly direction: 'to' | 'from'
  readonly endpoint: 'client' | 'file' | 'program'
}

/** A setting (GUC) that the statement would change, by SET, RESET or set_config. */
export interface SettingChange {
  /** Lower case, aliases resolved (`SET TIME ZONE` is `timezone`); `*` for RESET ALL and DISCARD ALL. */
  readonly name: string
  readonly kind: 'set' | 'default' | 'reset'
  /** The constant values written; undefined when one of them is not a constant. */
  readonly values: readonly string[] | undefined
  /** Where it comes from: `SET`, `set_config`, `BEGIN`, ... */
  readonly by: string
}

/** A table, view or sequence that the statement names. CTE names and aliases are not relations. */
export interface RelationUse {
  readonly schema: string | undefined
  /** `*` for a schema with all that is in it. */
  readonly name: string
  /** `maintain` is VACUUM and ANALYZE, which show and change nothing: PostgreSQL 17's privilege. */
  readonly access: 'read' | 'write' | 'maintain'
}

/** A piece of a text, in UTF-16 units. */
export interface Range {
  readonly start: number
  readonly end: number
}

/** One SQL statement of a query string. */
export interface Statement {
  /** PostgreSQL's command tag of the top level, e.g. `SELECT`, `CREATE TABLE AS`, `SELECT INTO`. */
  readonly tag: string
  readonly class: StatementClass
  readonly actions: readonly Action[]
  readonly functions: readonly FunctionUse[]
  readonly settings: readonly SettingChange[]
  readonly relations: readonly RelationUse[]
  /** Operators written or implied (`IN`, `BETWEEN`, `CASE x WHEN`, `USING` imply some), each once. */
  readonly operators: readonly NameUse[]
  /** Types named in casts, column definitions and declarations, each once. */
  readonly types: readonly NameUse[]
  readonly copies: readonly CopyUse[]
  /** DECLARE name CURSOR FOR ...: what fetching from it runs. `hold`: it outlives its transaction. */
  readonly declares:
    | { readonly name: string; readonly hold: boolean; readonly statement: Statement }
    | undefined
  /** CLOSE name; `*` for CLOSE ALL and DISCARD ALL. */
  readonly closes: string | undefined
  /** FETCH or MOVE from this cursor or portal. */
  readonly fetches: string | undefined
  /** PREPARE name AS ...: the statement that the name will stand for. */
  readonly prepares: { readonly name: string; readonly statement: Statement } | undefined
  /** EXECUTE name (also inside EXPLAIN or CREATE TABLE AS). */
  readonly executes: string | undefined
  /** DEALLOCATE name; `*` for DEALLOCATE ALL and DISCARD ALL. */
  readonly deallocates: string | undefined
  /** Why the tree cannot tell what the statement does; such a statement is denied to all. */
  readonly opaque: string | undefined
  /** A value that is given beside the text would be a secret: `SELECT crypt($1, $2)`. */
  readonly secretParameters: boolean
  /** The statement's own text within the query string. */
  readonly text: string
  /** Secrets in `text`, in order: passwords and the like. */
  readonly secrets: readonly Range[]
}

/** A query string that was understood. No statements at all (white space, a lone `;`) is legal. */
export interface Parsed {
  readonly type: 'parsed'
  readonly statements: readonly Statement[]
  /** Secrets in the query string, in order: those of its statements, and of comments around them. */
  readonly secrets: readonly Range[]
}

/** A query string that was not: refused to everybody, with the reason. */
export interface Unparsable {
  readonly type: 'unparsable'
  readonly code:
    | 'syntax_error'
    | 'statement_too_large'
    | 'statement_too_complex'
    | 'invalid_text'
    /** The client gave it up before it was understood. */
    | 'query_canceled'
  /** The parser's own sentence, e.g. `syntax error at or near "FROM"`. */
  readonly message: string
  /** Where in the text, counted in characters from 1, when the parser can tell. */
  readonly position?: number
}

export type Analysis = Parsed | Unparsable
