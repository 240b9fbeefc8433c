// What one pastes to connect: the same connection in the words of psql, libpq, JDBC, DBeaver, pgAdmin and
// .pgpass, each with its own rules of quoting. A name that is read as another setting, or that ends the
// string early, would connect somewhere else. Ignorant of where the values come from.

import type { Secret } from '../secret.ts'

/** Where a token is good. */
export interface Connection {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly sslmode: 'disable' | 'require'
}

export interface ConnectionLines {
  readonly psql: string
  readonly uri: string
  readonly jdbc: string
  readonly dbeaver: string
  readonly pgadmin: string
  readonly pgpass: string
}

/** Each of them holds the password, but pgAdmin's file, whose form has no place for one. */
export function connectionLines(connection: Connection, password: Secret): ConnectionLines {
  const secret = password.reveal()
  return {
    psql: psqlLine(connection, password),
    uri: uri(connection, secret),
    jdbc: jdbc(connection, secret),
    dbeaver: dbeaver(connection, secret),
    pgadmin: pgadmin(connection),
    pgpass: pgpass(connection, secret),
  }
}

/** A command for a shell. */
export function psqlLine(connection: Connection, password: Secret): string {
  const { host, port, database, user, sslmode } = connection
  const settings = { host, port, dbname: database, user, password: password.reveal(), sslmode }
  const words = Object.entries(settings).map(([name, value]) => `${name}=${quoted(String(value))}`)
  const conninfo = words.join(' ')
  // Double quotes read better, and do where the shell finds nothing to expand between them.
  return `psql ${/["$`\\!]/.test(conninfo) ? shellQuoted(conninfo) : `"${conninfo}"`}`
}

/** libpq's rules for a value in a connection string. */
function quoted(value: string): string {
  return /^[\w.:@%+/-]+$/.test(value) ? value : `'${value.replace(/[\\']/g, '\\$&')}'`
}

function shellQuoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}

function uri({ host, port, database, user, sslmode }: Connection, password: string): string {
  const [who, secret, path] = [user, password, database].map(encodeURIComponent)
  return `postgresql://${who}:${secret}@${hostInUrl(host)}:${port}/${path}?sslmode=${sslmode}`
}

/** pgjdbc decodes the path and the parameters alike. */
function jdbc({ host, port, database, user, sslmode }: Connection, password: string): string {
  const [path, who, secret] = [database, user, password].map(encodeURIComponent)
  return (
    `jdbc:postgresql://${hostInUrl(host)}:${port}/${path}` +
    `?user=${who}&password=${secret}&sslmode=${sslmode}`
  )
}

/** `-con` takes name=value pairs between bars and knows no escape for one: names with bars are left out. */
function dbeaver(connection: Connection, password: string): string {
  const { host, port, database, user, sslmode } = connection
  const settings = {
    driver: 'postgresql',
    name: `${database} as ${user}`,
    host,
    port,
    database,
    user,
    password,
    'prop.sslmode': sslmode,
    savePassword: false,
    connect: true,
  }
  const pairs = Object.entries(settings)
    .filter(([, value]) => !String(value).includes('|'))
    .map(([name, value]) => `${name}=${value}`)
  return `dbeaver -con ${shellQuoted(pairs.join('|'))}`
}

/** A servers.json for pgAdmin's import; it asks for the password. */
function pgadmin({ host, port, database, user, sslmode }: Connection): string {
  const server = {
    Name: `${database} as ${user}`,
    Group: 'pgwarden',
    Host: host,
    Port: port,
    MaintenanceDB: database,
    Username: user,
    SSLMode: sslmode,
  }
  return JSON.stringify({ Servers: { 1: server } })
}

function pgpass({ host, port, database, user }: Connection, password: string): string {
  return [host, String(port), database, user, password]
    .map((field) => field.replace(/[\\:]/g, '\\$&'))
    .join(':')
}

function hostInUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
