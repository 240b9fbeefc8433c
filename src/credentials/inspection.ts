// Looks into targets for others: one read-only transaction at a time, by a login of pgwarden's own. That of
// the monitor where a target has one, which may do least; else the broker's. Ignorant of what is asked.

import { Failure } from '../errors.ts'
import {
  AdministrativeConnection,
  type AdministrativeLogin,
  type Connect,
  type Query,
} from './administrative-connection.ts'

/** A target that can be looked into. */
export interface InspectedTarget {
  readonly database: string
  readonly connectTimeoutMs: number
  /** Asked for each new connection. */
  readonly login: () => Promise<AdministrativeLogin>
}

export class Inspection {
  readonly #targets: ReadonlyMap<string, AdministrativeConnection>

  /** `onProblem` hears of connections that broke while nobody used them. */
  constructor(
    targets: ReadonlyMap<string, InspectedTarget>,
    connect: Connect,
    onProblem: (error: unknown) => void,
  ) {
    this.#targets = new Map(
      [...targets].map(([target, { database, connectTimeoutMs, login }]) => [
        target,
        new AdministrativeConnection({
          target,
          database,
          connectTimeoutMs,
          login,
          applicationName: 'pgwarden catalog',
          // Not one that a database's owner has set for us, with functions that would run with our rights.
          settings: [['search_path', 'pg_catalog']],
          connect,
          onProblem,
        }),
      ]),
    )
  }

  /**
   * Lets `work` ask a target, in one read-only transaction with one view of the database. When `signal`
   * is aborted the connection goes, and with it the query. @throws Failure
   */
  async inspect<T>(
    target: string,
    work: (query: Query) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const connection = this.#targets.get(target)
    if (connection !== undefined) return connection.inspect(work, signal)
    throw new Failure('invalid_configuration', {
      message: `there is no login to look into target "${target}" with`,
      hint: 'Write credentials.monitor in the configuration of the target.',
    })
  }

  async close(): Promise<void> {
    await Promise.all([...this.#targets.values()].map((connection) => connection.close()))
  }
}
