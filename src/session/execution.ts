// What the session remembers of its prepared statements, portals and running statements. Plain data:
// the gate makes it, the replies complete it.

import type { Judgement } from '../policy/decision.ts'

/** A prepared statement: by Parse or by SQL's PREPARE, which share one name space. */
export interface Prepared {
  readonly judgement: Judgement
  /**
   * OIDs of its first parameters' types, as Parse gave them and later as the server describes them; 0 is
   * unknown. None where values are not recorded.
   */
  parameterTypes: readonly number[]
  /** What judging took at Parse, until the record of a run has it. */
  judgedMs: number
}

/** A portal: by Bind, or by SQL's DECLARE as a cursor, which share one name space too. */
export interface Portal {
  readonly prepared: Prepared
  /** A cursor WITH HOLD: it outlives its transaction. */
  readonly hold: boolean
  /**
   * Begins with Bind, since planning runs functions; the portal's Executes go on with it. A cursor was
   * planned by its DECLARE, and has none before its first Execute.
   */
  execution: Execution | undefined
}

/** One run of a query string or of a portal: what one audit event is about. */
export interface Execution {
  /** The session's count of statements: with the session's id it names the audit event. */
  readonly number: number
  /**
   * Command tags of its statements, and no more of its judgement: the facts of a query string take many
   * times the memory of its text, and thousands of them may wait for the server's answer.
   */
  readonly tags: readonly string[]
  /** It, or what its EXECUTE names, may change what is known of the target's catalog. */
  readonly changesCatalog: boolean
  /** What may be recorded of an error's message; `shape`: nothing that quotes a value. */
  readonly messages: 'all' | 'shape' | 'none'
  /** What judging took, in milliseconds. */
  readonly policyMs: number
  /** Clock.elapsed() when it was accepted. */
  readonly startedAt: number
  /** Clock.elapsed() when its intent was stored: it is on its way to the server. */
  storedAt: number | undefined
  /** Rows of the commands that have ended, and of portal fetches that have been suspended. */
  rows: number
  /** Rows seen since. */
  seen: number
  /** Bytes of COPY data from the client. */
  bytesIn: number
  /** Bytes of rows and COPY data sent to the client. */
  bytes: number
  /** Commands of the query string that have ended. */
  commands: number
  /** The server's last command tag, with its count. */
  tag: string | undefined
  /** Some of its rows have been fetched. */
  fetched: boolean
  /** It has its outcome. */
  ended: boolean
}

/**
 * Counts the rows of a command that has ended. The tag is authoritative where it has a count
 * (`INSERT 0 5`, `COPY 7`): the rows of a RETURNING are the same rows, seen.
 */
export function commandEnded(execution: Execution, tag: string): void {
  // No server counts further; what a hostile one claims must stay a number that JSON has.
  const count = /(?:^| )([0-9]{1,20})$/.exec(tag)?.[1]
  execution.rows += count === undefined ? execution.seen : Number(count)
  execution.seen = 0
  execution.commands++
  execution.tag = tag
}
