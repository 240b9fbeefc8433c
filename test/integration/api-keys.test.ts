// API keys from the command that makes them to the call that they are good for: two replicas on one store.

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { operations } from '../../src/composition/server.ts'
import { Authenticator } from '../../src/identity/authenticator.ts'
import { Secret } from '../../src/secret.ts'
import { Store } from '../../src/store/store.ts'
import { type Ended, pgwarden } from '../support/command-line.ts'
import { connectedTo, type FreshDatabase, freshDatabase } from '../support/databases.ts'

const day = 86_400_000
let database: FreshDatabase
let directory = ''
let configFile = ''
let stores: readonly Store[] = []
let now = Date.now()
const problems: unknown[] = []

beforeAll(async () => {
  database = await freshDatabase(inject('adminUrl'), 'store')
  directory = await mkdtemp(join(tmpdir(), 'pgwarden-keys-'))
  configFile = join(directory, 'pgwarden.yaml')
  await writeFile(configFile, configuration(''))
  const onProblem = (error: unknown): void => void problems.push(error)
  const url = new Secret(database.url)
  stores = [await Store.open({ url, onProblem }), await Store.open({ url, onProblem })]
})

afterAll(async () => {
  for (const store of stores) await store.close()
  await database.drop()
  await rm(directory, { recursive: true })
})

const configuration = (more: string): string => `store: { url: ${JSON.stringify(database.url)} }
journal: { directory: journal }
${more}targets:
  shop:
    host: db
    database: shop
    credentials:
      broker:
        user: broker
        password: hidden
        owned: drop
        creation: { read_only: ['GRANT reader TO {{name}}'] }
`

function replica(at: number): Authenticator {
  const store = stores[at]
  if (store === undefined) throw new Error('there are two replicas')
  return Authenticator.of({
    oidc: undefined,
    keys: store,
    clock: { now: () => now, elapsed: () => 0 },
    onProblem: (error) => problems.push(error),
  })
}

function command(...words: readonly string[]): Promise<Ended> {
  return pgwarden(['key', ...words, '--config', configFile], operations)
}

async function made(...words: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await command('create', ...words)
  if (status !== 0) throw new Error(stderr)
  return stdout.trim()
}

const idOf = (key: string): string => key.split('_')[1] ?? ''

async function journal(): Promise<readonly Record<string, unknown>[]> {
  const files = await readdir(join(directory, 'journal'))
  const texts = await Promise.all(
    files
      .filter((name) => name.endsWith('.jsonl'))
      .map((name) => readFile(join(directory, 'journal', name), 'utf8')),
  )
  return texts
    .join('')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

describe('an API key', () => {
  it('is what it was made for, on every replica', async () => {
    const key = await made(
      ...['--principal', 'service-reports', '--groups', 'bi,reports', '--scopes', 'access,audit'],
      ...['--claim', 'uid=42', '--claim', 'tenant=a=b', '--for', '30d'],
    )
    for (const at of [0, 1]) {
      expect(await replica(at).identify(`Bearer ${key}`)).toEqual({
        principal: 'service-reports',
        kind: 'service',
        groups: ['bi', 'reports'],
        claims: { uid: '42', tenant: 'a=b' },
        scopes: new Set(['access', 'audit']),
        via: idOf(key),
        expiresAt: expect.any(Number) as number,
      })
    }
  })

  it('that was revoked opens nothing at the next call, on every replica', async () => {
    const key = await made('--principal', 'service-a')
    await replica(1).identify(`Bearer ${key}`)
    const { status, stdout } = await command('revoke', idOf(key))
    expect(status).toBe(0)
    expect(stdout).toContain(`API key ${idOf(key)} of service-a is revoked.`)
    for (const at of [0, 1]) {
      await expect(replica(at).identify(`Bearer ${key}`)).rejects.toMatchObject({
        code: 'unauthenticated',
        message: 'the API key has been revoked',
      })
    }
    const again = await command('revoke', idOf(key))
    expect(again.status).toBe(1)
    expect(again.stderr).toContain('already')
  })

  it('ends by itself', async () => {
    const key = await made('--principal', 'service-a', '--for', '1d')
    now = Date.now() + day + 1_000
    await expect(replica(0).identify(`Bearer ${key}`)).rejects.toMatchObject({
      message: 'the API key has expired',
    })
    now = Date.now()
  })

  it('with another secret, or of nobody, is refused with one answer', async () => {
    const key = await made('--principal', 'service-a')
    const other = await made('--principal', 'service-b')
    const wrong = [
      `${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`,
      // The id of one, the secret of the other.
      `pgk_${idOf(key)}_${other.slice(-43)}`,
      `pgk_aaaaaaaaaaaaaaaa_${key.slice(-43)}`,
      'pgk_',
      `pgk_${'a'.repeat(10_000)}`,
    ]
    for (const text of wrong) {
      await expect(replica(0).identify(`Bearer ${text}`)).rejects.toMatchObject({
        code: 'unauthenticated',
        message: 'there is no such API key',
        detail: undefined,
      })
    }
  })

  it('is noted as used, once a minute at most', async () => {
    const key = await made('--principal', 'service-a')
    const lastUsed = async (): Promise<number | undefined> =>
      (await stores[0]?.findApiKey(idOf(key)))?.lastUsedAt
    const first = now
    await replica(0).identify(`Bearer ${key}`)
    await expect.poll(lastUsed).toBe(first)
    now += 59_000
    await replica(0).identify(`Bearer ${key}`)
    expect(await lastUsed()).toBe(first)
    now += 1_000
    await replica(0).identify(`Bearer ${key}`)
    await expect.poll(lastUsed).toBe(now)
    now = Date.now()
    expect(problems).toEqual([])
  })

  it('is in no file and no row, only its hash is', async () => {
    const key = await made('--principal', 'service-a', '--groups', 'bi')
    const secret = key.slice(-43)
    const rows = await connectedTo(database.url, async (client) => {
      const { rows } = await client.query('select k::text from pgwarden.api_keys k')
      return JSON.stringify(rows)
    })
    expect(rows).toContain(idOf(key))
    expect(rows).not.toContain(secret)
    expect(JSON.stringify(await journal())).not.toContain(secret)
    expect((await command('list', '--all', '--json')).stdout).not.toContain(secret)
  })

  it('is in the audit from its making to its end, with who did it', async () => {
    const key = await made('--principal', 'service-audited', '--groups', 'bi', '--claim', 'uid=7')
    await command('revoke', idOf(key))
    const records = (await journal()).filter((record) => record['key'] === idOf(key))
    expect(records).toMatchObject([
      {
        type: 'key.created',
        via: 'operator',
        principal: 'service-audited',
        kind: 'service',
        groups: ['bi'],
        scopes: ['access'],
        claims: ['uid'],
      },
      { type: 'key.revoked', via: 'operator', principal: 'service-audited' },
    ])
    expect(records[0]?.['by']).toEqual(expect.any(String))
  })

  it('that is over is listed only when one asks for all', async () => {
    const key = await made('--principal', 'service-over')
    await command('revoke', idOf(key))
    expect((await command('list')).stdout).not.toContain(idOf(key))
    expect((await command('list', '--all')).stdout).toMatch(
      new RegExp(`${idOf(key)}  service service-over: access, revoked .*, never used`),
    )
  })
})

describe('a key that is not to be made', () => {
  it.each([
    ['for more than a year', ['--principal', 'service-a', '--for', '366d'], 'at most 365 days'],
    ['for a name with a space', ['--principal', 'a b'], 'none a space'],
    ['for a name that is a token’s', ['--principal', 'a/abcdefghijklmnop'], 'token id'],
    ['with a claim that ends a packet', ['--principal', 'a', '--claim', 'uid=1\u00002'], 'claim'],
  ])('%s is refused', async (_, words, sentence) => {
    const { status, stdout, stderr } = await command('create', ...words)
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toContain(sentence)
  })

  it('with a scope that there is not is a wrong command', async () => {
    const { status, stderr } = await command('create', '--principal', 'a', '--scopes', 'root')
    expect(status).toBe(2)
    expect(stderr).toContain('Scopes are access, approve, administer, audit.')
  })

  it('is one of a service with a name that a person could have, or the other way round', async () => {
    const file = join(directory, 'oidc.yaml')
    const oidc = 'identity: { oidc: { issuer: https://id.example, audience: pgwarden } }\n'
    await writeFile(file, configuration(oidc))
    const create = (...words: readonly string[]): Promise<Ended> =>
      pgwarden(['key', 'create', '--config', file, ...words], operations)
    expect((await create('--principal', 'alice')).stderr).toContain(
      'the name of a service begins with "service-"',
    )
    const person = await create('--principal', 'service-a', '--kind', 'person')
    expect(person.stderr).toContain('no person\'s name begins with "service-"')
    expect((await create('--principal', 'service-a')).status).toBe(0)
    expect((await create('--principal', 'alice', '--kind', 'person')).status).toBe(0)
  })
})

describe('a call', () => {
  it.each([
    [undefined, 'the call does not say who is calling'],
    ['', 'the Authorization header holds no bearer token'],
    ['Basic YWxpY2U6eA==', 'the Authorization header holds no bearer token'],
    ['Bearer a b', 'the Authorization header holds no bearer token'],
    ['Bearer pgk_a\u0000', 'the Authorization header holds no bearer token'],
    ['Bearer eyJ.eyJ.x', 'only API keys are taken here'],
  ])('with %j is refused, and says what is wrong', async (header, message) => {
    await expect(replica(0).identify(header)).rejects.toMatchObject({ status: 401, message })
  })
})
