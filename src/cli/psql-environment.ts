// The environment that psql runs in: where to, and the token. In the environment, since every process of
// the machine can read an argument list. libpq's variables: PostgreSQL documentation, 32.15.

import type { Token } from '../client/answers.ts'
import type { Environment } from './outside.ts'

/**
 * Of the user's own settings those that change neither where to nor as whom. All others go: a service, a
 * PGHOSTADDR or a file of service definitions would have the token sent elsewhere, PGOPTIONS would have the
 * login refused. An API key is for the control plane, and what psql starts has no use for it.
 */
const kept: ReadonlySet<string> = new Set([
  ...['PGAPPNAME', 'PGCLIENTENCODING', 'PGDATESTYLE', 'PGTZ', 'PGCONNECT_TIMEOUT', 'PGLOCALEDIR'],
  // How to know the server, and what to show it where it asks for a certificate.
  ...['PGSSLROOTCERT', 'PGSSLCRL', 'PGSSLCRLDIR', 'PGSSLCERT', 'PGSSLKEY'],
  // These can only make libpq more careful with what it answers.
  ...['PGREQUIREAUTH', 'PGSSLMINPROTOCOLVERSION'],
])

const ssl: readonly string[] = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full']

export function psqlEnvironment(
  env: Environment,
  { token, connection }: Token,
): Readonly<Record<string, string>> {
  const own: Record<string, string> = {}
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && (!name.startsWith('PG') || kept.has(name))) own[name] = value
  }
  return {
    ...own,
    PGHOST: connection.host,
    PGPORT: String(connection.port),
    PGDATABASE: connection.database,
    PGUSER: connection.user,
    PGPASSWORD: token,
    PGSSLMODE: stricter(connection.sslmode, env['PGSSLMODE']),
  }
}

/** Who asks for more than the server does gets it. */
function stricter(servers: string, own: string | undefined): string {
  return own !== undefined && ssl.indexOf(own) > ssl.indexOf(servers) ? own : servers
}
