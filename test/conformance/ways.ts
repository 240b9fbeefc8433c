// The ways a client takes: to PostgreSQL itself and through pgwarden, each plain and in TLS. Starts the
// servers and tells, as environment variables, where to connect and who one is there. Ignorant of the
// clients. Both ways have a database of their own, so that a NOTIFY on one is not heard on the other.

import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generate } from 'selfsigned'
import { postgresAccount } from '../../src/demo/account.ts'
import { startEmbeddedPostgres } from '../../src/demo/embedded.ts'
import { connectedTo, freshDatabase } from '../support/databases.ts'
import { startOlderServer } from '../support/older-server.ts'
import { Warden } from '../support/warden.ts'

export type Route = 'direct' | 'through'

export interface Ways {
  /** PostgreSQL's release, as it names it. */
  readonly serverVersion: string
  /** The environment of a client's program. A new one-time token comes with each. */
  environment(route: Route, tls: boolean): Promise<Readonly<Record<string, string>>>
  stop(): Promise<void>
}

/** What clients find in their database; everything else they make themselves, as temporary tables. */
const schema = `
  create function speak(what text) returns void language plpgsql as $$
  begin
    raise notice 'said: %', what using detail = 'its detail', hint = 'its hint';
  end $$;
`

/** Permits all that the checks ask for: this is about the protocol, not about the policy. */
const role = 'admin'

export async function openWays(server: 'current' | 'older'): Promise<Ways> {
  const directory = await mkdtemp(join(tmpdir(), 'pgwarden-conformance-'))
  const stops: (() => Promise<void>)[] = [() => rm(directory, { recursive: true, force: true })]
  const stop = async () => {
    for (const each of stops.splice(0).reverse()) await each()
  }
  try {
    const pems = await certify()
    const ca = join(directory, 'ca.crt')
    await writeFile(ca, pems.certificate)
    const postgres = await startPostgres(server, directory, pems)
    stops.push(() => postgres.stop())
    const direct = await freshDatabase(postgres.adminUrl, 'direct')
    const serverVersion = await connectedTo(direct.url, async (client) => {
      await client.query(schema)
      const { rows } = await client.query<{ server_version: string }>('show server_version')
      return rows[0]?.server_version ?? ''
    })
    const warden = await Warden.start(postgres.adminUrl, {
      ownProcess: true,
      files: { 'server.crt': pems.certificate, 'server.key': pems.key },
      listen: ['tls: { certificate: server.crt, key: server.key }'],
      // The clients compare what they asked for with what they got.
      shop: ["applicationName: ''"],
      schema,
    })
    stops.push(() => warden.stop())
    return {
      serverVersion,
      stop,
      environment: async (route, tls) => ({
        ...(route === 'direct' ? await asSuperuser(direct.url) : await withToken(warden)),
        CONFORMANCE_HOST: 'localhost',
        CONFORMANCE_CA: ca,
        CONFORMANCE_TLS: tls ? 'on' : 'off',
      }),
    }
  } catch (error) {
    await stop()
    throw error
  }
}

interface Pems {
  readonly certificate: string
  readonly key: string
}

/** One that signs itself, for the name `localhost`. */
async function certify(): Promise<Pems> {
  const pems = await generate([{ name: 'commonName', value: 'localhost' }], {
    keySize: 2048,
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] },
    ],
  })
  return { certificate: pems.cert, key: pems.private }
}

async function startPostgres(
  server: 'current' | 'older',
  directory: string,
  pems: Pems,
): Promise<{ readonly adminUrl: string; stop(): Promise<void> }> {
  // Beside the data directory: the account that runs the server may pass through `directory`.
  const files = { ssl_cert_file: 'server.crt', ssl_key_file: 'server.key' } as const
  const texts = { ssl_cert_file: pems.certificate, ssl_key_file: pems.key } as const
  const settings: Record<string, string> = { ssl: 'on', max_connections: '200' }
  await chmod(directory, 0o711)
  const account = await postgresAccount()
  for (const setting of ['ssl_cert_file', 'ssl_key_file'] as const) {
    const file = join(directory, files[setting])
    await writeFile(file, texts[setting], { mode: 0o600 })
    if (account !== undefined) await chown(file, account.uid, account.gid)
    settings[setting] = file
  }
  if (server === 'older') return startOlderServer(settings)
  const embedded = await startEmbeddedPostgres({ directory, settings })
  return { adminUrl: embedded.url('postgres').reveal(), stop: () => embedded.stop() }
}

async function asSuperuser(databaseUrl: string): Promise<Record<string, string>> {
  const url = new URL(databaseUrl)
  return {
    CONFORMANCE_PORT: url.port,
    CONFORMANCE_DATABASE: url.pathname.slice(1),
    CONFORMANCE_USER: decodeURIComponent(url.username),
    CONFORMANCE_PASSWORD: decodeURIComponent(url.password),
    CONFORMANCE_ONE_TIME_USER: decodeURIComponent(url.username),
    CONFORMANCE_ONE_TIME_PASSWORD: decodeURIComponent(url.password),
  }
}

/** A user of its own for each token: which token is meant is then plain from the name alone. */
async function withToken(warden: Warden): Promise<Record<string, string>> {
  const user = `client_${randomBytes(4).toString('hex')}`
  const { password } = await warden.login(role, { user })
  const once = await warden.login(role, { user: `${user}_once`, kind: 'one-time' })
  return {
    CONFORMANCE_PORT: String(warden.port),
    CONFORMANCE_DATABASE: 'shop',
    CONFORMANCE_USER: user,
    CONFORMANCE_PASSWORD: password,
    CONFORMANCE_ONE_TIME_USER: once.user,
    CONFORMANCE_ONE_TIME_PASSWORD: once.password,
  }
}
