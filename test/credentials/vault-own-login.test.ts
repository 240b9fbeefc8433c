// pgwarden's own database login, which Vault keeps.

import { beforeEach, expect, it } from 'vitest'
import { OwnLogin, type OwnLoginOptions } from '../../src/credentials/vault/own-login.ts'
import { VaultProblem } from '../../src/credentials/vault/problem.ts'
import type { Vault, VaultResponse } from '../../src/credentials/vault/vault.ts'

let now = 0
let asked: string[] = []
let down = false
let life = 60_000
let token: { endsAt: number | undefined }
const clock = { now: () => now, elapsed: () => now }

beforeEach(() => {
  now = 0
  asked = []
  down = false
  life = 60_000
  token = { endsAt: undefined }
})

const answer = async (path: string): Promise<VaultResponse> => {
  asked.push(path)
  if (down) throw new VaultProblem('unreachable', 'no connection')
  const login = { username: `v-${asked.length}`, password: 'from vault', ttl: 90 }
  const data = path.includes('/data/') ? { data: login } : login
  const leaseId = path.includes('/creds/') ? `${path}/${asked.length}` : ''
  return { data, leaseId, leaseMs: life, renewable: true, token }
}

const vault: Vault = {
  token: undefined,
  start: () => undefined,
  stop: async () => undefined,
  check: async () => undefined,
  read: answer,
  write: (path, body) => answer(`${path} ${JSON.stringify(body)}`),
}

const from = (engine: OwnLoginOptions['login']['engine']): OwnLogin =>
  new OwnLogin({ vault, clock, login: { engine, mount: 'm', role: 'monitor' } })

it('is asked for once by all who want it at the same time', async () => {
  const login = from('static')
  const users = (await Promise.all([login.current(), login.current()])).map(({ user }) => user)
  expect(users).toEqual(['v-1', 'v-1'])
  expect(asked).toEqual(['m/static-creds/monitor'])
})

it('is read anew for each connection, since a password may have been changed', async () => {
  const login = from('kv')
  await login.current()
  expect(await login.current()).toMatchObject({ user: 'v-2' })
})

it('is refused without a life: each connection would be another lease', async () => {
  life = 0
  await expect(from('dynamic').current()).rejects.toMatchObject({ code: 'cannot_connect_now' })
})

it('is used as it was while Vault is away, until its password has been changed', async () => {
  const login = from('static')
  await login.current()
  down = true
  now = 89_999
  expect(await login.current()).toMatchObject({ user: 'v-1' })
  now = 90_000
  await expect(login.current()).rejects.toMatchObject({ sqlstate: '57P03' })
})

it('is one lease of a dynamic role for two thirds of its life, and given back at the stop', async () => {
  const login = from('dynamic')
  await login.current()
  now = 39_999
  expect(await login.current()).toMatchObject({ user: 'v-1' })
  now = 40_000
  expect(await login.current()).toMatchObject({ user: 'v-2' })
  await login.stop()
  expect(asked).toEqual([
    'm/creds/monitor',
    'm/creds/monitor',
    'sys/leases/revoke {"lease_id":"m/creds/monitor/2","sync":true}',
  ])
})

it('is another one when the Vault token that it was asked with has ended', async () => {
  token.endsAt = 10_000
  const login = from('dynamic')
  await login.current()
  now = 10_000
  expect(await login.current()).toMatchObject({ user: 'v-2' })
})

it('has nothing to give back when it is nobody’s lease, and stops all the same while Vault is away', async () => {
  const read = from('kv')
  await read.current()
  await read.stop()
  expect(asked).toHaveLength(1)
  const leased = from('dynamic')
  await leased.current()
  down = true
  await leased.stop()
})
