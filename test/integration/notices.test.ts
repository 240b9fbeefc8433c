// What a process that has one thing to tell says to those that share its store, by a real PostgreSQL.

import { afterAll, afterEach, beforeAll, expect, inject, it } from 'vitest'
import { Secret } from '../../src/secret.ts'
import { Notices, tellOnce } from '../../src/store/notices.ts'
import { Store } from '../../src/store/store.ts'
import { connectedTo, type FreshDatabase, freshDatabase } from '../support/databases.ts'
import { eventually } from '../support/eventually.ts'

let database: FreshDatabase
let url: Secret
let listening: Notices | undefined

beforeAll(async () => {
  database = await freshDatabase(inject('adminUrl'), 'notices')
  url = new Secret(database.url)
  await (await Store.open({ url, onProblem: () => undefined })).close()
})

afterEach(async () => {
  await listening?.stop()
  listening = undefined
})

afterAll(() => database.drop())

it('is heard by those who listen, who do not take it for one of them', async () => {
  const clock = { now: () => Date.now(), elapsed: () => performance.now() }
  listening = new Notices({ url, instance: 'proxy', clock, onProblem: () => undefined })
  const heard: unknown[] = []
  listening.hear('grant.revoked', (body) => heard.push(body))
  listening.start()
  await eventually(async () => {
    await tellOnce(url, 'grant.revoked', { grant: 'g1' })
    return heard.length > 0
  })
  expect(heard[0]).toEqual({ grant: 'g1' })
  await eventually(() => Promise.resolve(listening?.others === 0))
})

it('cannot be read by whoever else listens', async () => {
  await connectedTo(database.url, async (client) => {
    const overheard: string[] = []
    client.on('notification', ({ payload = '' }) => overheard.push(payload))
    await client.query('listen pgwarden')
    await tellOnce(url, 'grant.revoked', { grant: 'g1' })
    await eventually(() => Promise.resolve(overheard.length > 0))
    expect(Buffer.from(overheard.join(), 'base64url').toString('latin1')).not.toContain('g1')
    expect(overheard.join()).not.toContain('revoked')
  })
})

it('is refused where the store is not there', async () => {
  const nowhere = new Secret('postgres://nobody@127.0.0.1:1/none')
  await expect(tellOnce(nowhere, 'grant.revoked', { grant: 'g1' })).rejects.toThrow()
})
