// Failed logins in the store, by claimed principal and address, and from where principals have logged in. Whoever
// fails writes here without having proved anything: so there is a bound for each address and one for all.
// Ignorant of what becomes of those who fail.

import { randomId } from '../access/id.ts'
import type {
  Claimant,
  Failed,
  LockOut,
  LoginFailureStore,
  LoginRules,
} from '../access/login-guard.ts'
import type { Database } from './database.ts'

/** Names that are counted of one address, and pairs of all addresses: what comes then is not counted. */
const mostOfAddress = 50
const mostOfAll = 100_000
/** For so long a principal is known at an address. */
const knownFor = "interval '30 days'"

interface LockRow {
  readonly id: string
  readonly principal: string
  readonly address: string
  readonly failures: number
  readonly locked_until: Date
}

const lockColumns = 'id, principal, address, failures, locked_until'

export class LoginFailures implements LoginFailureStore {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async lockedUntil({ principal, address }: Claimant): Promise<number | undefined> {
    const [row] = await this.#database.rows<{ readonly locked_until: Date }>(
      `select locked_until from pgwarden.login_failures
        where principal = $1 and address = $2 and locked_until > now()`,
      [principal, address],
    )
    return row?.locked_until.getTime()
  }

  /** One statement: of two failures at once neither is lost. */
  async countFailure({ principal, address }: Claimant, rules: LoginRules): Promise<Failed> {
    const [row] = await this.#database.rows<LockRow & { readonly now_locked: boolean }>(
      `insert into pgwarden.login_failures as f (id, principal, address, failures, since)
       select $1, $2, $3, 1, now()
        where exists (select from pgwarden.login_failures where principal = $2 and address = $3)
           or ((select count(*) from pgwarden.login_failures where address = $3) < ${mostOfAddress}
               and (select count(*) from (select from pgwarden.login_failures limit ${mostOfAll}) as a)
                   < ${mostOfAll})
       on conflict (principal, address) do update
         set (failures, since, locked_until) = (
           select n.failures, n.since,
                  case when n.failures >= $5 and not exists (
                         select from pgwarden.known_addresses k
                          where k.principal = $2 and k.address = $3 and k.seen_at > now() - ${knownFor})
                       then coalesce(n.locked_until, now() + $6 * interval '1 ms') end
             from (select case when o.fresh then f.failures + 1 else 1 end as failures,
                          case when o.fresh then f.since else now() end as since,
                          case when f.locked_until > now() then f.locked_until end as locked_until
                     from (select f.since > now() - $4 * interval '1 ms'
                                  and coalesce(f.locked_until > now(), true) as fresh) as o) as n)
       returning ${lockColumns}, coalesce(failures = $5 and locked_until is not null, false) as now_locked`,
      [randomId(), principal, address, rules.withinMs, rules.failures, rules.lockOutMs],
    )
    if (row === undefined) return { failures: undefined, locked: undefined }
    return { failures: row.failures, locked: row.now_locked ? lockOutOf(row) : undefined }
  }

  async rememberLogin({ principal, address }: Claimant): Promise<void> {
    await this.#database.run(
      `with forgotten as (
         delete from pgwarden.login_failures where principal = $1 and address = $2)
       insert into pgwarden.known_addresses (principal, address, seen_at) values ($1, $2, now())
         on conflict (principal, address) do update set seen_at = now()`,
      [principal, address],
    )
  }

  async lockOuts(limit: number): Promise<LockOut[]> {
    const rows = await this.#database.rows<LockRow>(
      `select ${lockColumns} from pgwarden.login_failures
        where locked_until > now() order by locked_until desc, id limit $1`,
      [limit],
    )
    return rows.map(lockOutOf)
  }

  async liftLockOut(id: string): Promise<LockOut | undefined> {
    const [row] = await this.#database.rows<LockRow>(
      `delete from pgwarden.login_failures where id = $1 and locked_until > now()
       returning ${lockColumns}`,
      [id],
    )
    return row && lockOutOf(row)
  }

  async forgetFailures({ withinMs }: LoginRules): Promise<void> {
    await this.#database.run(
      `with old as (delete from pgwarden.known_addresses where seen_at < now() - ${knownFor})
       delete from pgwarden.login_failures
        where since < now() - $1 * interval '1 ms' and coalesce(locked_until < now(), true)`,
      [withinMs],
    )
  }
}

function lockOutOf({ locked_until, ...row }: LockRow): LockOut {
  const { id, principal, address, failures } = row
  return { id, principal, address, failures, until: locked_until.getTime() }
}
