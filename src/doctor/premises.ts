// What pgwarden needs of its own machine and of its store: a journal that can be written, certificates to
// show, and a database with a schema that this version can work with. Changes nothing of them: another
// process may be at work there. Ignorant of files and of SQL.

import { type Circumstances, type Finding, fail, ok, warn, within } from './finding.ts'
import { validity } from './validity.ts'

export interface Premises {
  readonly journal: {
    readonly directory: string
    /** Writes something there and takes it away again. Answers how much room is left, in bytes. @throws */
    readonly probe: () => Promise<number>
  }
  /** Those with TLS. */
  readonly listeners: readonly {
    readonly name: string
    /** PEM, its own certificate first. @throws Failure for files that cannot be used. */
    readonly certificate: () => Promise<string>
  }[]
  /** Looks without changing anything. @throws when it cannot be reached. */
  readonly store: (signal: AbortSignal) => Promise<StoreState>
}

interface StoreState {
  /** Migrations that `serve` would run, and those that only a later version knows. */
  readonly pending: readonly string[]
  readonly later: readonly string[]
  /** Whether our login may make what is missing. */
  readonly mayMigrate: boolean
  /** The server's clock, in milliseconds since the epoch. */
  readonly time: number
}

const GiB = 1024 ** 3
const localLimit = 5_000
const storeLimit = 15_000
/** Grants begin and end by the clocks of several machines. */
const mostAstray = 5_000

export async function* examinePremises(
  premises: Premises,
  circumstances: Circumstances,
): AsyncGenerator<Finding, void> {
  yield await journal(premises.journal, circumstances)
  for (const listener of premises.listeners) {
    const subject = `listener ${listener.name}`
    const step = `reading the certificate of ${subject}`
    try {
      const pem = await within(circumstances, step, localLimit, listener.certificate)
      yield validity(subject, 'its certificate', pem, circumstances.clock.now())
    } catch (error) {
      yield fail(subject, error)
    }
  }
  yield* store(premises.store, circumstances)
}

async function journal(
  { directory, probe }: Premises['journal'],
  circumstances: Circumstances,
): Promise<Finding> {
  const subject = 'journal'
  try {
    const free = await within(
      circumstances,
      'writing to the journal’s directory',
      localLimit,
      probe,
    )
    const message = `${directory} can be written; ${(free / GiB).toFixed(1)} GiB are free`
    return free < GiB
      ? warn(
          subject,
          message,
          'Make room: when the journal cannot be written, nothing is forwarded.',
        )
      : ok(subject, message)
  } catch (error) {
    return fail(
      subject,
      error,
      `Let the account that runs pgwarden write to ${directory}, or name another journal.directory.`,
    )
  }
}

async function* store(
  look: Premises['store'],
  circumstances: Circumstances,
): AsyncGenerator<Finding, void> {
  const subject = 'store'
  try {
    const { pending, later, mayMigrate, time } = await within(
      circumstances,
      'asking the store',
      storeLimit,
      look,
    )
    if (later.length > 0) {
      yield fail(
        subject,
        `it has been through ${later.join(', ')}, which this version does not know`,
        'Run the later version of pgwarden; a store is not migrated backwards.',
      )
    } else if (pending.length === 0) {
      yield ok(subject, 'it can be reached, and its schema is up to date')
    } else if (mayMigrate) {
      yield ok(subject, `it can be reached; the next serve makes its schema: ${pending.join(', ')}`)
    } else {
      yield fail(
        subject,
        `its schema lacks ${pending.join(', ')}, and our login may not make that`,
        'Make the login the owner of the store’s database: ALTER DATABASE ... OWNER TO ...;',
      )
    }
    const astray = Math.abs(time - circumstances.clock.now())
    if (astray > mostAstray) {
      yield warn(
        subject,
        `its clock and ours are ${Math.round(astray / 1000)} s apart`,
        'Keep both machines on network time: grants begin and end by it.',
      )
    }
  } catch (error) {
    yield fail(
      subject,
      error,
      'Look at store.url: host, port, login and database, and whether the server lets us in.',
    )
  }
}
