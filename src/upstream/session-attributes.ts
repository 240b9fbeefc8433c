// Which servers of a target take a session: a primary, a standby, one that may be written to. Says
// also how to ask a server that does not tell by itself (before PostgreSQL 14).
// PostgreSQL documentation, libpq: target_session_attrs; fe-connect.c.

import type { SessionAttributes } from './target.ts'

/** What kind of session a server gives. */
export interface ServerState {
  readonly inRecovery: boolean
  /** By its default; undefined where we have set that ourselves, and it says nothing of the server. */
  readonly readOnly: boolean | undefined
}

/** `fallback`: to be taken when no other server is better. */
export type Fitness = 'fits' | 'fallback' | 'unfit'

const readOnlySetting = 'default_transaction_read_only'

/** One row: the two values in the order of `stateOf`. */
export const stateQuery = `SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'on' ELSE 'off' END, pg_catalog.current_setting('${readOnlySetting}')`

/** What the server reported of itself; undefined when it has to be asked. */
export function reportedState(
  reported: ReadonlyMap<string, string>,
): readonly [string, string] | undefined {
  const recovery = reported.get('in_hot_standby')
  const readOnly = reported.get(readOnlySetting)
  return recovery === undefined || readOnly === undefined ? undefined : [recovery, readOnly]
}

/** `parameters` are those that the session was opened with. */
export function stateOf(
  [recovery, readOnly]: readonly [string, string],
  parameters: ReadonlyMap<string, string>,
): ServerState {
  const ours = [...parameters.keys()].some((name) => name.toLowerCase() === readOnlySetting)
  return { inRecovery: recovery === 'on', readOnly: ours ? undefined : readOnly === 'on' }
}

export function fitness(
  wanted: SessionAttributes,
  { inRecovery, readOnly = false }: ServerState,
): Fitness {
  const when = (fits: boolean): Fitness => (fits ? 'fits' : 'unfit')
  switch (wanted) {
    case 'any':
      return 'fits'
    case 'read-write':
      return when(!inRecovery && !readOnly)
    case 'read-only':
      return when(inRecovery || readOnly)
    case 'primary':
      return when(!inRecovery)
    case 'standby':
      return when(inRecovery)
    case 'prefer-standby':
      return inRecovery ? 'fits' : 'fallback'
  }
}
