// pgwarden doctor on configurations that are sound, and on those of which one thing is broken: each must
// be found, named, and come with what to change. Without Vault; doctor-vault.test.ts has that.

import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { operations } from '../../src/composition/server.ts'
import { certify } from '../support/certificates.ts'
import { connectedTo } from '../support/databases.ts'
import { Deployment, lines } from '../support/deployment.ts'
import { freePort } from '../support/ports.ts'
import { startTlsDatabase, type TlsDatabase } from '../support/tls-database.ts'
import { Warden } from '../support/warden.ts'

const day = 86_400_000

let deployment: Deployment
beforeAll(async () => {
  deployment = await Deployment.make(inject('adminUrl'))
})
afterAll(() => deployment.remove())

/** Database roles that pgwarden makes. */
async function issuedRoles(): Promise<readonly string[]> {
  return connectedTo(deployment.target.url, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      "select rolname as name from pg_roles where rolname like 'pgw\\_%' order by 1",
    )
    return rows.map(({ name }) => name)
  })
}

describe('a sound configuration', () => {
  it('is found sound, from the file to the login of each role that is taken back', async () => {
    const findings = await deployment.examined()
    expect(lines(findings, 'warn', 'fail')).toEqual([])
    const { broker, monitor, reader } = deployment.roles
    expect(lines(findings, 'ok').join('\n')).toMatch(
      new RegExp(
        [
          '^configuration: .* is sound; 1 target to look at',
          'journal: .* can be written; .* GiB are free',
          // The store is fresh: serve has not run yet.
          'store: it can be reached; the next serve makes its schema: 0001-',
          'target shop at 127.0.0.1:\\d+: reached without TLS .*, on this machine',
          `target shop monitor: ${monitor} may see and end the sessions of others`,
          `target shop broker: ${broker} may make roles and give them ${reader}`,
          'target shop role read_only: a login was issued and taken \\(pgw_.*\\); it lasts as long as its grant',
          'target shop role read_only: it was revoked, and is gone',
        ].join('.*\n'),
      ),
    )
  })

  it('is as it was afterwards: no role, no schema in the store, no file', async () => {
    const before = await issuedRoles()
    await mkdir(join(deployment.directory, 'journal'), { recursive: true })
    await deployment.examined()
    expect(await issuedRoles()).toEqual(before)
    expect(await readdir(join(deployment.directory, 'journal'))).toEqual([])
    const schemas = await connectedTo(deployment.store.url, (client) =>
      client.query("select from pg_namespace where nspname = 'pgwarden'"),
    )
    expect(schemas.rowCount).toBe(0)
  })

  it('is examined beside a pgwarden that runs on it, whose sessions go on', async () => {
    const warden = await Warden.start(inject('adminUrl'))
    try {
      const client = await warden.connect('read_only')
      const chain = await warden.journal()
      const findings = []
      const request = { configFile: warden.configFile, target: 'shop', onStep: () => undefined }
      for await (const finding of operations.doctor({
        ...request,
        signal: AbortSignal.timeout(60_000),
      })) {
        findings.push(finding)
      }
      expect(lines(findings, 'fail')).toEqual([])
      // The tests' broker is a superuser and makes superusers: no operator should.
      const warnings = lines(findings, 'warn').join('\n')
      expect(warnings).toContain('target shop broker: postgres is a superuser')
      expect(warnings).toContain('target shop role admin: its database role has SUPERUSER')
      expect(lines(findings, 'ok').join('\n')).toContain('its schema is up to date')
      expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      expect((await warden.journal()).length).toBe(chain.length + 2)
      await client.end()
    } finally {
      await warden.stop()
    }
  })
})

describe('something that is broken', () => {
  it('is the configuration itself', async () => {
    const findings = await deployment.examined({ port: 'many' })
    expect(lines(findings, 'ok', 'warn', 'fail')).toEqual([
      expect.stringMatching(
        /^configuration: .*pgwarden.yaml:\d+:\d+: targets.shop.port: expected a number/,
      ),
    ])
  })

  it('is a target that does not exist', async () => {
    await deployment.examined()
    const { configFile } = deployment
    const signal = AbortSignal.timeout(60_000)
    const findings = operations.doctor({
      configFile,
      target: 'ship',
      signal,
      onStep: () => undefined,
    })
    await expect(findings[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'not_found',
      hint: 'Choose one of shop.',
    })
  })

  it('is the journal’s directory', async () => {
    await writeFile(join(deployment.directory, 'file'), '')
    const findings = await deployment.examined({}, { journal: { directory: 'file/journal' } })
    expect(lines(findings, 'fail')).toEqual([
      expect.stringMatching(
        /^journal: .* \/ Let the account that runs pgwarden write to .*file\/journal/,
      ),
    ])
  })

  it.each([
    ['that nobody listens at', (url: URL) => (url.port = '1'), /ECONNREFUSED/],
    ['with a wrong password', (url: URL) => (url.password = 'guessed'), /password authentication/],
    ['without a database', (url: URL) => (url.pathname = '/nowhere'), /"nowhere" does not exist/],
  ])('is a store %s', async (_, change, why) => {
    const url = new URL(deployment.store.url)
    change(url)
    const findings = await deployment.examined({}, { store: { url: url.href } })
    const [store, ...more] = lines(findings, 'fail')
    expect(more).toEqual([])
    expect(store).toMatch(why)
    expect(store).toMatch(/^store: .* \/ Look at store.url/)
  })

  it('is a store that a later version has been at', async () => {
    const warden = await Warden.start(inject('adminUrl'))
    try {
      await warden.inStore((client) =>
        client.query("insert into pgwarden.migrations (name) values ('9999-later')"),
      )
      const findings = []
      const signal = AbortSignal.timeout(60_000)
      const request = { configFile: warden.configFile, target: undefined, signal }
      for await (const finding of operations.doctor({ ...request, onStep: () => undefined })) {
        findings.push(finding)
      }
      expect(lines(findings, 'fail')).toEqual([
        expect.stringMatching(
          /^store: it has been through 9999-later, .* \/ Run the later version/,
        ),
      ])
    } finally {
      await warden.stop()
    }
  })

  it.each([
    ['has expired', -2, 'fail', /its certificate expired on .*, 1 day ago \/ Renew it/],
    ['expires soon', 9, 'warn', /its certificate is valid until .* \/ Renew it soon/],
  ] as const)('is a listener’s certificate that %s', async (_, days, result, what) => {
    const at = (shift: number): Date => new Date(Date.now() + shift * day + day / 2)
    const terms = { notBefore: at(-40), notAfter: at(days) }
    const { certificate, key } = await certify('listener', terms)
    await writeFile(join(deployment.directory, 'tls.crt'), certificate)
    await writeFile(join(deployment.directory, 'tls.key'), key)
    const tls = { certificate: 'tls.crt', key: 'tls.key' }
    const findings = await deployment.examined({}, { listen: { tls }, http: { tls } })
    const found = lines(findings, result).filter((line) => line.startsWith('listener'))
    expect(found).toEqual([
      expect.stringMatching(what),
      expect.stringMatching(new RegExp(`^listener http .*${what.source}`)),
    ])
  })

  it('is a key that is not its certificate’s', async () => {
    const [one, other] = [await certify('one'), await certify('other')]
    await writeFile(join(deployment.directory, 'one.crt'), one.certificate)
    await writeFile(join(deployment.directory, 'other.key'), other.key)
    const listen = { tls: { certificate: 'one.crt', key: 'other.key' } }
    const findings = await deployment.examined({}, { listen })
    expect(lines(findings, 'fail')).toEqual([
      expect.stringMatching(/^listener 127.0.0.1 6432: .*other.key is not the key of/),
    ])
  })

  it('is a target where nobody listens, and nothing further is tried there', async () => {
    const findings = await deployment.examined({ port: await freePort() })
    expect(lines(findings, 'fail')).toEqual([
      expect.stringMatching(/^target shop at .*ECONNREFUSED.* \/ Look at host, port and tls/),
    ])
  })

  it('is the broker’s password', async () => {
    const credentials = { broker: { ...broker(), password: 'guessed' } }
    const findings = await deployment.examined({ credentials, catalog: { snapshot: false } })
    expect(lines(findings, 'fail')).toEqual([
      expect.stringMatching(
        /^target shop broker: .*28P01.* \/ Look at user and password of credentials.broker/,
      ),
    ])
  })

  const withRoles = async (break_: string, mend: string): Promise<readonly string[]> => {
    await deployment.sql(break_)
    try {
      return lines(await deployment.examined(), 'fail')
    } finally {
      await deployment.sql(mend)
    }
  }

  it('is a broker that may not make roles', async () => {
    const { broker: name } = deployment.roles
    const failed = await withRoles(
      `alter role ${name} nocreaterole`,
      `alter role ${name} createrole`,
    )
    expect(failed).toEqual([
      `target shop broker: ${name} may not make roles / ALTER ROLE ${name} CREATEROLE;`,
    ])
  })

  it('is a broker that may not give away what it is to give', async () => {
    const { broker: name, reader } = deployment.roles
    const failed = await withRoles(
      `revoke admin option for ${reader} from ${name}`,
      `grant ${reader} to ${name} with admin option`,
    )
    expect(failed).toEqual([
      `target shop broker: ${name} may not give ${reader} to others / GRANT ${reader} TO ${name} WITH ADMIN OPTION;`,
    ])
  })

  it('is a role that the broker is to give and that is not there', async () => {
    const creation = { read_only: ['GRANT nobody_at_all TO {{name}}'] }
    const credentials = { broker: { ...broker(), creation } }
    const findings = await deployment.examined({ credentials })
    expect(lines(findings, 'fail')).toEqual([
      expect.stringMatching(
        /^target shop broker: there is no role nobody_at_all \/ CREATE ROLE nobody_at_all/,
      ),
    ])
  })

  it('is a creation statement that fails', async () => {
    const creation = { read_only: ['GRANT SELECT ON nowhere TO {{name}}'] }
    const before = await issuedRoles()
    const findings = await deployment.examined({
      credentials: { broker: { ...broker(), creation } },
    })
    expect(lines(findings, 'fail')).toEqual([
      expect.stringMatching(
        /^target shop role read_only: no login was issued: .*relation "nowhere" does not exist/,
      ),
    ])
    expect(await issuedRoles()).toEqual(before)
  })

  it('is a creation statement that makes too mighty a role', async () => {
    const creation = { read_only: ['ALTER ROLE {{name}} CREATEROLE'] }
    const findings = await deployment.examined({
      credentials: { broker: { ...broker(), creation } },
    })
    expect(lines(findings, 'fail')).toEqual([])
    expect(lines(findings, 'warn').join()).toContain('its database role has CREATEROLE')
  })

  it('is a monitor that lacks a right', async () => {
    const { monitor } = deployment.roles
    const failed = await withRoles(
      `revoke pg_signal_backend from ${monitor}`,
      `grant pg_signal_backend to ${monitor}`,
    )
    expect(failed[0]).toBe(
      `target shop monitor: ${monitor} may not see and end the sessions of others / GRANT pg_signal_backend TO ${monitor};`,
    )
  })

  it('is a monitor’s password, and the login of the trial is revoked all the same', async () => {
    const { monitor } = deployment.roles
    const credentials = {
      ...deployment.brokered(),
      monitor: { user: monitor, password: 'guessed' },
    }
    const before = await issuedRoles()
    const findings = await deployment.examined({ credentials })
    expect(lines(findings, 'fail')).toEqual([
      expect.stringMatching(/^target shop monitor: .*28P01.* \/ Look at credentials.monitor/),
    ])
    expect(lines(findings, 'ok').join()).toContain('it was revoked, and is gone')
    expect(await issuedRoles()).toEqual(before)
  })

  function broker(): object {
    const { broker: settings } = deployment.brokered()
    if (typeof settings !== 'object' || settings === null) throw new Error('no broker')
    return settings
  }
})

describe('a target with TLS', () => {
  let database: TlsDatabase
  beforeAll(async () => {
    database = await startTlsDatabase()
    await writeFile(join(deployment.directory, 'ca.crt'), database.authority.certificate)
    const other = await certify('another authority', { isAuthority: true })
    await writeFile(join(deployment.directory, 'other-ca.crt'), other.certificate)
  })
  afterAll(() => database.stop())

  async function found(tls: object, host = 'localhost'): Promise<readonly string[]> {
    const findings = await deployment.examined({ host, port: database.port, tls })
    return findings
      .filter(({ subject }) => subject.startsWith('target shop at '))
      .map(({ result, message }) => `${result} ${message}`)
  }

  it('is reached, and how long its certificate lasts is told', async () => {
    expect(await found({ mode: 'verify-full', ca: 'ca.crt' })).toEqual([
      'ok reached with TLS, its certificate verified (tls.mode is verify-full)',
      expect.stringMatching(/^ok its certificate is valid until/),
    ])
  })

  it.each([
    ['another authority', { mode: 'verify-full', ca: 'other-ca.crt' }, /belongs into tls.ca/],
    ['another name', { ca: 'ca.crt', serverName: 'shop.example' }, /does not match.*shop.example/],
  ])('is not trusted with a certificate of %s', async (_, tls, why) => {
    expect(await found(tls)).toEqual([expect.stringMatching(/^fail no TLS/)])
    expect((await found(tls))[0]).toMatch(why)
  })

  it('is warned of where nobody looks at the certificate', async () => {
    expect(await found({ mode: 'require' })).toEqual([
      'warn reached with TLS, but anybody’s certificate would do (tls.mode is require)',
      expect.stringMatching(/^ok its certificate/),
    ])
  })

  it('is not trusted any more when its certificate has expired', async () => {
    const expired = await certify('db.test', {
      by: database.authority,
      notBefore: new Date(Date.now() - 40 * day),
      notAfter: new Date(Date.now() - 2 * day),
    })
    await database.present(expired)
    expect(await found({ mode: 'verify-full', ca: 'ca.crt' })).toEqual([
      expect.stringMatching(/^fail .*certificate has expired/),
    ])
    expect(await found({ mode: 'require' })).toEqual([
      expect.stringMatching(/^warn/),
      expect.stringMatching(/^fail its certificate expired/),
    ])
    await database.present(database.certificate)
  })
})

describe('an operator who has seen enough', () => {
  it.each(['getting a login from', 'logging in as pgw_'])(
    'stops the doctor while it is %s, and no login stays behind',
    async (moment) => {
      const before = await issuedRoles()
      const stopping = new AbortController()
      const findings = await deployment.examined({}, {}, stopping.signal, (step) => {
        if (step.startsWith(moment)) setTimeout(() => stopping.abort(), 1)
      })
      expect(stopping.signal.aborted).toBe(true)
      expect(lines(findings, 'fail')).toEqual([])
      expect(await issuedRoles()).toEqual(before)
    },
  )
})

it('never says a password', () => {
  expect(deployment.said).toContain(deployment.roles.broker)
  const admin = new URL(deployment.target.url)
  for (const secret of [deployment.password, decodeURIComponent(admin.password), 'guessed']) {
    expect(deployment.said).not.toContain(secret)
  }
})
