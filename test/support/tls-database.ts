// A PostgreSQL of its own that offers TLS, and lets different logins in by different methods.

import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { postgresAccount } from '../../src/demo/account.ts'
import { startEmbeddedPostgres } from '../../src/demo/embedded.ts'
import { certify, type Pair } from './certificates.ts'
import { connectedTo } from './databases.ts'

export interface TlsDatabase {
  readonly port: number
  readonly adminUrl: string
  readonly authority: Pair
  /** The server's, for `db.test`, `localhost` and 127.0.0.1. */
  readonly certificate: Pair
  /** Shows another one from now on. */
  present(certificate: Pair): Promise<void>
  stop(): Promise<void>
}

/** The password of every login below. */
export const password = 'pencil ¼'

const logins = ['scram', 'hashed', 'open', 'trusted', 'tls_only', 'plain_only', 'certified']

const hba = `
host      all  postgres    127.0.0.1/32  scram-sha-256
host      all  scram       127.0.0.1/32  scram-sha-256
host      all  hashed      127.0.0.1/32  md5
host      all  open        127.0.0.1/32  password
host      all  trusted     127.0.0.1/32  trust
hostssl   all  tls_only    127.0.0.1/32  scram-sha-256
hostnossl all  plain_only  127.0.0.1/32  scram-sha-256
hostssl   all  certified   127.0.0.1/32  cert
hostssl   all  /^pgw_      127.0.0.1/32  scram-sha-256
`

export async function startTlsDatabase(): Promise<TlsDatabase> {
  const directory = await mkdtemp(join(tmpdir(), 'pgwarden-tls-'))
  const account = await postgresAccount()
  if (account !== undefined) await chmod(directory, 0o711)
  const authority = await certify('test authority', { isAuthority: true })
  const certificate = await certify('db.test', {
    by: authority,
    names: ['db.test', 'localhost', '127.0.0.1'],
  })
  const file = async (name: string, text: string): Promise<string> => {
    const path = join(directory, name)
    await writeFile(path, text, { mode: 0o600 })
    if (account !== undefined) await chown(path, account.uid, account.gid)
    return path
  }
  const server = await startEmbeddedPostgres({
    directory,
    settings: {
      ssl: 'on',
      ssl_ca_file: await file('ca.crt', authority.certificate),
      ssl_cert_file: await file('server.crt', certificate.certificate),
      ssl_key_file: await file('server.key', certificate.key),
      hba_file: await file('hba.conf', hba),
      log_connections: 'all',
    },
  })
  const adminUrl = server.url('postgres').reveal()
  await connectedTo(adminUrl, async (client) => {
    for (const login of logins) {
      const method = login === 'hashed' ? 'md5' : 'scram-sha-256'
      await client.query(`set password_encryption = '${method}'`)
      await client.query(`create role ${login} login password '${password}'`)
    }
  })
  return {
    port: server.port,
    adminUrl,
    authority,
    certificate,
    present: async (other) => {
      await file('server.crt', other.certificate)
      await file('server.key', other.key)
      await connectedTo(adminUrl, (client) => client.query('select pg_reload_conf()'))
    },
    stop: async () => {
      await server.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
