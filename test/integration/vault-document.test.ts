// docs/vault.md, done as it says: its SQL on a PostgreSQL, its commands and its policy on a Vault. Then each
// role is tried for what it can do and what it cannot, and pgwarden's token as well.

import { execFile } from 'node:child_process'
import { generateKeyPairSync, sign } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { operations } from '../../src/composition/server.ts'
import { startEmbeddedPostgres } from '../../src/demo/embedded.ts'
import { connectedTo, freshDatabase } from '../support/databases.ts'
import { namedBlocks, writeBlocks } from '../support/document.ts'
import { olderServerIsInstalled, startOlderServer } from '../support/older-server.ts'
import { freePorts } from '../support/ports.ts'
import { describeWithOwnVault, startOwnVault } from '../support/vault.ts'
import { Refusal, ask as request } from '../support/vault-request.ts'

/** insufficient_privilege */
const denied = '42501'

const servers = [
  { release: 'PostgreSQL 18', start: startEmbedded },
  // Before 16 CREATEROLE was another right.
  ...(olderServerIsInstalled() ? [{ release: 'PostgreSQL 15', start: startOlder }] : []),
]

describeWithOwnVault('docs/vault.md', () => {
  describe.each(servers)('with $release', ({ release, start }) => {
    let directory: string
    let postgres: TestServer
    let vault: Awaited<ReturnType<typeof startOwnVault>>
    /** Of pgwarden, with its policy alone. */
    let token: string

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'pgwarden-vault-document-'))
      postgres = await start()
      vault = await startOwnVault({ tls: 'offered' })
      await writeFile(join(directory, 'vault-ca.pem'), authority())
      const server = new URL(postgres.url('shop'))
      const blocks = await namedBlocks('docs/vault.md')
      await writeBlocks(blocks, directory, {
        'db.example.com:5432': server.host,
        'sslmode=verify-full': 'sslmode=disable',
      })
      await connectedTo(postgres.url('postgres'), (client) => client.query('create database shop'))
      await connectedTo(postgres.url('shop'), async (client) => {
        await client.query('create table old (id int primary key)')
        for (const name of ['groups.sql', 'vault-login.sql', 'monitor-login.sql']) {
          await client.query(blocks.get(name) ?? '')
        }
        await client.query('alter table old owner to shop_owner')
        await client.query(
          'set role shop_owner; create table orders (id int primary key, note text)',
        )
        await client.query("insert into orders values (1, 'first')")
      })
      for (const script of ['database.sh', 'static.sh', 'kv.sh']) await run(script)
      await shell('vault policy write pgwarden pgwarden.hcl')
      await run('token.sh')
      token = (await readFile(join(directory, 'vault-token'), 'utf8')).trim()
    })
    afterAll(async () => {
      await vault.stop()
      await postgres.stop()
      await rm(directory, { recursive: true, force: true })
    })

    function run(script: string): Promise<void> {
      return shell(`. ./${script}`)
    }

    /** As the operator, in the directory of the document's files. */
    async function shell(text: string): Promise<void> {
      const vaultCommand = `vault() { node "${join(process.cwd(), 'test/support/vault-command.mjs')}" "$@"; }`
      await promisify(execFile)('sh', ['-ec', `${vaultCommand}\n${text}`], {
        cwd: directory,
        env: {
          ...process.env,
          VAULT_ADDR: vault.address,
          VAULT_TOKEN: vault.rootToken,
          NODE_EXTRA_CA_CERTS: join(directory, 'vault-ca.pem'),
        },
      })
    }

    interface Reply {
      /** 200 for any that is none of a refusal. */
      readonly status: number
      readonly data: Readonly<Record<string, unknown>>
      readonly lease: string
      readonly token: string
    }

    /** A request to Vault, by default with pgwarden's token. */
    async function ask(method: string, path: string, body?: object, as = token): Promise<Reply> {
      try {
        const answer = await request(vault.caller(as), method, path, body)
        const { data, lease_id: lease, auth } = answer
        return { status: 200, data, lease, token: auth?.client_token ?? '' }
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        return { status: error.status, data: {}, lease: '', token: '' }
      }
    }

    /** A login of the pgwarden role, while `work` uses it; revoked afterwards. */
    async function withLogin<T>(
      role: string,
      work: (client: Client, user: string) => Promise<T>,
    ): Promise<T> {
      const { data, lease } = await ask('GET', `database/creds/shop-${role}`)
      const client = await opened(String(data['username']), String(data['password']))
      try {
        return await work(client, String(data['username']))
      } finally {
        const { status } = await ask('POST', 'sys/leases/revoke', { lease_id: lease, sync: true })
        expect(status).toBe(200)
        await client.end()
      }
    }

    async function opened(user: string, password: string, database = 'shop'): Promise<Client> {
      const { hostname, port } = new URL(postgres.url(database))
      const client = new Client({ host: hostname, port: Number(port), user, password, database })
      client.on('error', () => undefined)
      await client.connect()
      return client
    }

    function asSuperuser<T>(work: (client: Client) => Promise<T>): Promise<T> {
      return connectedTo(postgres.url('shop'), work)
    }

    /** SQLSTATE, or 'ok'. */
    async function outcome(client: Client, text: string): Promise<string> {
      return client.query(text).then(
        () => 'ok',
        (error: { code?: string }) => error.code ?? 'no SQLSTATE',
      )
    }

    const reads = ['select * from orders', 'select * from old']
    const writes = [
      "insert into orders values (2, 'second')",
      "update orders set note = 'third' where id = 2",
      'delete from orders where id = 2',
    ]
    const shapes = [
      'create table made (id int)',
      'alter table made add note text',
      'drop table made',
    ]
    const never = [
      'create role stranger',
      'alter role vault_shop superuser',
      'select * from pg_authid',
      "copy orders to '/tmp/orders'",
      'grant shop_owner to pgwarden_monitor',
    ]

    /** Where the release of PostgreSQL has no part. */
    function describeOnce(name: string, tests: () => void): void {
      if (release === servers[0]?.release) describe(name, tests)
    }

    describe('a login that Vault makes', () => {
      it.each([
        ['read_only', { reads: 'ok', writes: '25006', shapes: '25006' }],
        ['read_limited_write', { reads: 'ok', writes: 'ok', shapes: denied }],
        ['read_full_write', { reads: 'ok', writes: 'ok', shapes: 'ok' }],
        ['admin', { reads: 'ok', writes: 'ok', shapes: 'ok' }],
      ])('of %s can do what it is for, and nothing else', async (role, expected) => {
        await withLogin(role, async (client) => {
          for (const text of reads)
            expect([text, await outcome(client, text)]).toEqual([text, expected.reads])
          for (const text of writes)
            expect([text, await outcome(client, text)]).toEqual([text, expected.writes])
          const firstShape = shapes.slice(0, expected.shapes === 'ok' ? 3 : 1)
          for (const text of firstShape)
            expect([text, await outcome(client, text)]).toEqual([text, expected.shapes])
          await client.query('set default_transaction_read_only = off')
          for (const text of never)
            expect([text, await outcome(client, text)]).toEqual([text, denied])
        })
      })

      it('of read_only cannot write without its setting either', async () => {
        await withLogin('read_only', async (client) => {
          await client.query('set default_transaction_read_only = off')
          for (const text of writes) expect(await outcome(client, text)).toBe(denied)
        })
      })

      it('of read_full_write makes tables that belong to the owner, and everybody can read', async () => {
        await withLogin('read_full_write', (client) => client.query('create table shared (id int)'))
        await withLogin('read_only', async (client) => {
          expect(await outcome(client, 'select * from shared')).toBe('ok')
        })
        const owner = await ownerOf('shared')
        expect(owner).toBe('shop_owner')
      })

      it.each([
        ['read_full_write', 'set role none'],
        ['admin', 'select'],
      ])(
        'of %s leaves what it owns itself (%s) to the owner when it ends',
        async (role, before) => {
          await withLogin(role, async (client, user) => {
            await client.query(before)
            await client.query('create table left_behind (id int)')
            expect(await ownerOf('left_behind')).toBe(user)
          })
          expect(await ownerOf('left_behind')).toBe('shop_owner')
          await asSuperuser((client) => client.query('drop table left_behind'))
        },
      )

      it('of admin sees what others run', async () => {
        await withLogin('admin', async (client) => {
          const { rows } = await client.query(
            "select query from pg_stat_activity where query = '<insufficient privilege>'",
          )
          expect(rows).toEqual([])
        })
      })

      it('is gone from the database when its lease is revoked, in the middle of a transaction too', async () => {
        const { data, lease } = await ask('GET', 'database/creds/shop-read_full_write')
        const user = String(data['username'])
        const client = await opened(user, String(data['password']))
        await client.query('begin; lock table orders')
        const { status } = await ask('POST', 'sys/leases/revoke', { lease_id: lease, sync: true })
        expect(status).toBe(200)
        await expect(client.query('select')).rejects.toThrow()
        await expect(opened(user, String(data['password']))).rejects.toMatchObject({
          code: '28P01',
        })
        const { rowCount } = await asSuperuser((superuser) =>
          superuser.query('select from pg_roles where rolname = $1', [user]),
        )
        expect(rowCount).toBe(0)
      })

      it('lives longer when its lease is renewed', async () => {
        const { data, lease } = await ask('GET', 'database/creds/shop-read_only')
        const until = () =>
          asSuperuser(async (client) => {
            const { rows } = await client.query<{ until: Date }>(
              'select rolvaliduntil as until from pg_roles where rolname = $1',
              [data['username']],
            )
            return rows[0]?.until.getTime() ?? 0
          })
        const before = await until()
        const renewed = await ask('POST', 'sys/leases/renew', { lease_id: lease, increment: 7200 })
        expect(renewed.status).toBe(200)
        expect((await until()) - before).toBeGreaterThan(3_000_000)
        await ask('POST', 'sys/leases/revoke', { lease_id: lease, sync: true })
      })

      it('gets into no other database of the server', async () => {
        await asSuperuser((client) =>
          client.query('revoke connect on database postgres from public'),
        )
        const { data, lease } = await ask('GET', 'database/creds/shop-admin')
        const [user, password] = [String(data['username']), String(data['password'])]
        await expect(opened(user, password, 'postgres')).rejects.toMatchObject({ code: denied })
        await ask('POST', 'sys/leases/revoke', { lease_id: lease, sync: true })
      })
    })

    async function ownerOf(table: string): Promise<string | undefined> {
      return asSuperuser(async (client) => {
        const { rows } = await client.query<{ owner: string }>(
          'select pg_get_userbyid(relowner) as owner from pg_class where relname = $1',
          [table],
        )
        return rows[0]?.owner
      })
    }

    describe('the monitor’s login', () => {
      it('comes from its static role, ends sessions of others, and reads nothing', async () => {
        const { data } = await ask('GET', 'database/static-creds/shop-monitor')
        expect(data['username']).toBe('pgwarden_monitor')
        const monitor = await opened('pgwarden_monitor', String(data['password']))
        await withLogin('read_only', async (client, user) => {
          const { rows } = await monitor.query<{ query: string }>(
            'select query, pg_terminate_backend(pid) from pg_stat_activity where usename = $1',
            [user],
          )
          expect(rows).toHaveLength(1)
          expect(rows[0]?.query).not.toBe('<insufficient privilege>')
          await expect(client.query('select 1')).rejects.toThrow()
        })
        expect(await outcome(monitor, 'select * from orders')).toBe(denied)
        expect(await outcome(monitor, 'create table mine (id int)')).toBe(denied)
        expect(
          await outcome(
            monitor,
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres' and pid <> pg_backend_pid()",
          ),
        ).not.toBe('no SQLSTATE')
        await monitor.end()
      })
    })

    describe('the policy', () => {
      it('is enough for all that pgwarden does', async () => {
        const done: [string, number][] = []
        const { lease: lease_id } = await ask('GET', 'database/creds/shop-read_only')
        for (const [method, path, body] of [
          ['POST', 'sys/leases/renew', { lease_id, increment: 60 }],
          ['POST', 'sys/leases/revoke', { lease_id, sync: true }],
          ['GET', 'database/static-creds/shop-monitor'],
          ['GET', 'secret/data/pgwarden/legacy'],
          ['GET', 'auth/token/lookup-self'],
          ['POST', 'auth/token/renew-self', {}],
          ['POST', 'sys/capabilities-self', { paths: ['sys/mounts'] }],
        ] as const) {
          done.push([path, (await ask(method, path, body)).status])
        }
        expect(done.filter(([, status]) => status !== 200)).toEqual([])
      })

      it('allows nothing of the rest', async () => {
        const url = postgres.url('shop')
        await shell(
          `vault write database/config/hr plugin_name=postgresql-database-plugin allowed_roles='*' connection_url='${url}'
       vault write database/roles/hr-reader db_name=hr creation_statements=@read_only.sql
       vault kv put -mount=secret pgwarden/other username=a password=b`,
        )
        const { lease } = await ask('GET', 'database/creds/hr-reader', undefined, vault.rootToken)
        expect(lease).toMatch(/^database\/creds\/hr-reader\//)
        const strangers: [string, string, object?][] = [
          ['GET', 'database/creds/hr-reader'],
          ['GET', 'secret/data/pgwarden/other'],
          ['GET', 'secret/metadata/pgwarden?list=true'],
          ['GET', 'database/roles?list=true'],
          ['GET', 'database/roles/shop-admin'],
          ['GET', 'database/config/shop'],
          ['POST', 'database/rotate-root/shop', {}],
          ['POST', 'database/rotate-role/shop-monitor', {}],
          ['GET', 'sys/mounts'],
          ['GET', 'sys/policies/acl/pgwarden'],
          ['GET', 'sys/leases/lookup/database/creds?list=true'],
          ['POST', 'sys/leases/revoke', { lease_id: lease }],
          ['POST', 'sys/leases/renew', { lease_id: lease }],
          ['POST', 'sys/leases/revoke-prefix/database/creds/shop-read_only', {}],
          ['POST', 'auth/token/create', {}],
        ]
        const answers: [string, number][] = []
        for (const [method, path, body] of strangers) {
          answers.push([path, (await ask(method, path, body)).status])
        }
        expect(answers.filter(([, status]) => status !== 403)).toEqual([])
      })
    })

    describeOnce('a way to log in', () => {
      async function lookup(as: string): Promise<Readonly<Record<string, unknown>>> {
        return (await ask('GET', 'auth/token/lookup-self', undefined, as)).data
      }
      const periodic = { policies: ['pgwarden'], period: 86_400, renewable: true, num_uses: 0 }

      it('is a token of its own: periodic, with the policy alone', async () => {
        expect(await lookup(token)).toMatchObject({
          ...periodic,
          orphan: true,
          explicit_max_ttl: 0,
        })
      })

      it('is AppRole, with a secret id as it is or wrapped', async () => {
        await run('approle.sh')
        const read = (name: string) => readFile(join(directory, name), 'utf8')
        const role_id = await read('role-id')
        const login = { role_id, secret_id: await read('secret-id') }
        const { token: mine } = await ask('POST', 'auth/approle/login', login)
        expect(await lookup(mine)).toMatchObject(periodic)

        await run('wrapped.sh')
        const wrapped = await read('wrapped-secret-id')
        const { data } = await ask('POST', 'sys/wrapping/unwrap', {}, wrapped)
        const { token: other } = await ask('POST', 'auth/approle/login', {
          role_id,
          secret_id: data['secret_id'],
        })
        expect(await lookup(other)).toMatchObject(periodic)
      })

      it('is a JWT', async () => {
        const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
        const pem = publicKey.export({ type: 'spki', format: 'pem' })
        await writeFile(join(directory, 'issuer.pub'), pem)
        await run('jwt.sh')
        const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
        const now = Math.floor(Date.now() / 1000)
        const claims = { iss: 'https://issuer.example.com', aud: 'vault', sub: 'pgwarden' }
        const jwtOf = (more: object): string => {
          const text = `${encoded({ alg: 'RS256', typ: 'JWT' })}.${encoded({ ...claims, iat: now, exp: now + 60, ...more })}`
          return `${text}.${sign('sha256', Buffer.from(text), privateKey).toString('base64url')}`
        }
        const { token: mine } = await ask('POST', 'auth/jwt/login', {
          role: 'pgwarden',
          jwt: jwtOf({}),
        })
        expect(await lookup(mine)).toMatchObject(periodic)
        for (const wrong of [
          { sub: 'mallory' },
          { aud: 'other' },
          { iss: 'https://mallory.example' },
        ]) {
          const refused = await ask('POST', 'auth/jwt/login', {
            role: 'pgwarden',
            jwt: jwtOf(wrong),
          })
          expect(refused.token).toBe('')
        }
      })

      it('is the certificate that pgwarden shows', async () => {
        await writeFile(join(directory, 'clients-ca.pem'), authority())
        await run('cert.sh')
        const { token: mine } = await ask('POST', 'auth/cert/login', { name: 'pgwarden' })
        expect(await lookup(mine)).toMatchObject(periodic)
      })

      it('is a service account, as far as Vault can be told without its cluster', async () => {
        await writeFile(join(directory, 'kubernetes-ca.pem'), authority())
        await run('kubernetes.sh')
        const path = 'auth/kubernetes/role/pgwarden'
        const { data } = await ask('GET', path, undefined, vault.rootToken)
        expect(data).toMatchObject({
          token_period: 86_400,
          token_policies: ['pgwarden'],
          token_no_default_policy: true,
        })
      })
    })

    describeOnce('pgwarden with all of it', () => {
      it('is found sound by the doctor', async () => {
        const signal = AbortSignal.timeout(60_000)
        const request = { configFile: await configure(), signal, onStep: () => undefined }
        const failed: string[] = []
        const revoked: string[] = []
        for await (const found of operations.doctor({ ...request, target: 'shop' })) {
          const { subject, result, message } = found
          if (result === 'fail') failed.push(`${subject}: ${message}`)
          if (message === 'it was revoked, and is gone') revoked.push(subject)
        }
        expect(failed).toEqual([])
        expect(revoked).toHaveLength(4)
      })

      it('opens sessions that work as the owner of the schema', async () => {
        const configFile = await configure()
        await serving(configFile, async () => {
          const { token: secret, connection } = await operations.issueToken({
            configFile,
            principal: 'alice',
            target: 'shop',
            role: 'read_full_write',
            forMs: 60_000,
            kind: 'one-time',
            reason: 'the document says so',
          })
          const { host, port, database, user } = connection
          const client = new Client({ host, port, database, user, password: secret.reveal() })
          await client.connect()
          await client.query('create table by_alice (id int)')
          const { rows } = await client.query<{ name: string; login: string; role: string }>(
            `select current_setting('application_name') as name,
                    session_user as login, current_user as role`,
          )
          await client.end()
          expect(rows[0]?.name).toMatch(/^pgwarden alice [a-z2-7]{16}$/)
          expect(rows[0]?.login).toMatch(/^v-/)
          expect(rows[0]?.role).toBe('shop_owner')
          expect(await ownerOf('by_alice')).toBe('shop_owner')
        })
      })
    })

    /** Of Vault's certificate, and of those that its clients show. */
    function authority(): string {
      return vault.tls?.authority.certificate ?? ''
    }

    /** The document's configuration, with what it leaves to others. */
    async function configure(): Promise<string> {
      const store = await freshDatabase(postgres.url('postgres'), 'store')
      const { port } = new URL(postgres.url('shop'))
      const written = await readFile(join(directory, 'pgwarden.yaml'), 'utf8')
      const [listen, http] = await freePorts()
      const configFile = join(directory, 'complete.yaml')
      await writeFile(
        configFile,
        [
          written
            .replace(/addresses: .*/, `addresses: ['${vault.address}']`)
            .replace('host: db.example.com', `host: 127.0.0.1\n    port: ${port}`),
          `listen: { port: ${listen} }`,
          `http: { port: ${http} }`,
          `store: { url: '${store.url}' }`,
          'journal: { directory: journal }',
          'log: { level: error }',
        ].join('\n'),
      )
      return configFile
    }

    async function serving(configFile: string, work: () => Promise<void>): Promise<void> {
      const stopping = new AbortController()
      let served: Promise<void> | undefined
      await new Promise<void>((resolve, reject) => {
        const { signal } = stopping
        served = operations.serve({
          configFile,
          stopping: { asked: signal, atOnce: signal },
          onReady: () => resolve(),
        })
        served.catch(reject)
      })
      try {
        await work()
      } finally {
        stopping.abort()
        await served
      }
    }
  })
})

interface TestServer {
  url(database: string): string
  stop(): Promise<void>
}

async function startEmbedded(): Promise<TestServer> {
  const directory = await mkdtemp(join(tmpdir(), 'pgwarden-vault-postgres-'))
  const server = await startEmbeddedPostgres({ directory, settings: {} })
  return {
    url: (database) => server.url(database).reveal(),
    stop: async () => {
      await server.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

async function startOlder(): Promise<TestServer> {
  const { adminUrl, stop } = await startOlderServer()
  const url = (database: string): string => {
    const url = new URL(adminUrl)
    url.pathname = `/${database}`
    return url.href
  }
  return { url, stop }
}
