// What pgwarden's own logins on a target may do: the broker's, which makes roles, and the monitor's, which
// ends sessions. Asks the catalog and changes nothing. Ignorant of who they are.
// PostgreSQL documentation: CREATE ROLE, GRANT, "Predefined Roles".

import { type Circumstances, type Finding, fail, ok, warn, within } from './finding.ts'

/** Asks for rows; nobody checks that they have the fields of `Row`. */
type Query = <Row extends object>(text: string) => Promise<readonly Row[]>

/** One of pgwarden's own logins. */
export interface OwnLogin {
  /** Its name, or where it comes from: Vault tells the name only when it is asked. */
  readonly user: string
  /** In one read-only transaction. @throws */
  readonly inspect: <T>(work: (query: Query) => Promise<T>, signal: AbortSignal) => Promise<T>
}

export interface BrokerLogin extends OwnLogin {
  /** All of them, of every pgwarden role. */
  readonly creation: readonly string[]
  readonly reassignTo: string | undefined
}

const limit = 15_000

interface Self {
  readonly name: string
  readonly superuser: boolean
  readonly creates: boolean
}

const self = `select rolname as name, rolsuper as superuser, rolcreaterole as creates
  from pg_catalog.pg_roles where rolname = current_user`

/** Returns whether it can log in and make roles. */
export async function* examineBroker(
  target: string,
  broker: BrokerLogin,
  circumstances: Circumstances,
): AsyncGenerator<Finding, boolean> {
  const subject = `target ${target} broker`
  const given = [...new Set(broker.creation.flatMap(rolesGiven))]
  try {
    const look = async (query: Query) => {
      const [own] = await query<Self>(self)
      return { own, roles: await membership(query, [...given, ...receivers(broker)]) }
    }
    const { own, roles } = await within(
      circumstances,
      `logging in as ${broker.user}`,
      limit,
      (signal) => broker.inspect(look, signal),
    )
    if (own?.superuser === true) {
      yield warn(
        subject,
        `${broker.user} is a superuser`,
        `ALTER ROLE ${broker.user} NOSUPERUSER CREATEROLE; and grant it the roles that it gives, WITH ADMIN OPTION.`,
      )
      return true
    }
    if (own?.creates !== true) {
      yield fail(
        subject,
        `${broker.user} may not make roles`,
        `ALTER ROLE ${broker.user} CREATEROLE;`,
      )
      return false
    }
    const problems = [...grantProblems(subject, broker, given, roles)]
    yield* problems
    if (problems.length === 0) {
      yield ok(subject, `${broker.user} may make roles and give them ${given.join(', ')}`)
    }
    return problems.length === 0
  } catch (error) {
    yield fail(
      subject,
      error,
      'Look at user and password of credentials.broker, and at pg_hba.conf.',
    )
    return false
  }
}

interface Membership {
  readonly name: string
  readonly exists: boolean
  readonly member: boolean
  readonly admin: boolean
}

function* grantProblems(
  subject: string,
  { user, reassignTo }: BrokerLogin,
  given: readonly string[],
  roles: readonly Membership[],
): Generator<Finding> {
  for (const { name, exists, member, admin } of roles) {
    if (!exists) {
      const advice = `CREATE ROLE ${name} NOLOGIN; or take it out of the configuration.`
      yield fail(subject, `there is no role ${name}`, advice)
    } else if (given.includes(name) && !admin) {
      const advice = `GRANT ${name} TO ${user} WITH ADMIN OPTION;`
      yield fail(subject, `${user} may not give ${name} to others`, advice)
    } else if (name === reassignTo && !member) {
      const advice = `GRANT ${name} TO ${user};`
      yield fail(subject, `${user} may not hand objects over to ${name}`, advice)
    }
  }
}

/** Returns whether it can do its work. */
export async function* examineMonitor(
  target: string,
  monitor: OwnLogin,
  circumstances: Circumstances,
): AsyncGenerator<Finding, boolean> {
  const subject = `target ${target} monitor`
  const needed = ['pg_signal_backend', 'pg_read_all_stats']
  try {
    const look = async (query: Query) => {
      const [own] = await query<Self>(self)
      return { own, roles: await membership(query, needed) }
    }
    const { own, roles } = await within(
      circumstances,
      `logging in as ${monitor.user}`,
      limit,
      (signal) => monitor.inspect(look, signal),
    )
    const login = own?.name ?? monitor.user
    if (own?.superuser === true) {
      const advice = `ALTER ROLE ${login} NOSUPERUSER; GRANT ${needed.join(', ')} TO ${login};`
      yield warn(subject, `${monitor.user} is a superuser`, advice)
      return true
    }
    const missing = roles.filter(({ member }) => !member).map(({ name }) => name)
    if (missing.length > 0) {
      yield fail(
        subject,
        `${monitor.user} may not see and end the sessions of others`,
        `GRANT ${missing.join(', ')} TO ${login};`,
      )
      return false
    }
    yield ok(subject, `${monitor.user} may see and end the sessions of others`)
    return true
  } catch (error) {
    yield fail(subject, error, 'Look at credentials.monitor, and at pg_hba.conf.')
    return false
  }
}

function membership(query: Query, names: readonly string[]): Promise<readonly Membership[]> {
  const list = [...new Set(names)].map((name) => `'${name.replaceAll("'", "''")}'`).join(', ')
  return query<Membership>(`
    select name,
           r.oid is not null as exists,
           coalesce(pg_catalog.pg_has_role(r.oid, 'USAGE'), false) as member,
           coalesce(pg_catalog.pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION'), false) as admin
      from unnest(array[${list}]::text[]) as name
      left join pg_catalog.pg_roles r on r.rolname = name`)
}

function receivers({ reassignTo }: BrokerLogin): readonly string[] {
  return reassignTo === undefined ? [] : [reassignTo]
}

/**
 * The roles of `GRANT one, two TO {{name}}`. A grant of privileges (it has an ON), and what else stands
 * there, is not looked at: the trial of each role shows whether it works.
 */
function rolesGiven(statement: string): readonly string[] {
  const [, list = ''] = /^\s*grant\s+([^;]*?)\s+to\s+\{\{/is.exec(statement) ?? []
  if (list === '' || /\son\s/i.test(list)) return []
  return list.split(',').map((name) => unquoted(name.trim()))
}

function unquoted(name: string): string {
  return /^".*"$/s.test(name) ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase()
}
