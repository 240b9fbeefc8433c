import { createHash } from 'node:crypto'
import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { Secret } from '../../src/secret.ts'
import { Store } from '../../src/store/store.ts'
import { type FreshDatabase, freshDatabase } from '../support/databases.ts'

let database: FreshDatabase
let one: Store
let another: Store
let direct: Pool

beforeAll(async () => {
  database = await freshDatabase(inject('adminUrl'), 'idempotency')
  const open = (): Promise<Store> =>
    Store.open({ url: new Secret(database.url), onProblem: () => undefined })
  one = await open()
  another = await open()
  direct = new Pool({ connectionString: database.url, max: 1 })
})
afterAll(async () => {
  await Promise.all([one.close(), another.close(), direct.end()])
  await database.drop()
})

const key = (name: string, asked = 'POST /requests') => ({
  principal: 'alice',
  key: name,
  hash: createHash('sha256').update(asked).digest(),
})
const answer = {
  status: 201,
  body: '{"id":"r1"}',
  location: '/api/v1/requests/r1',
  etag: undefined,
}

describe('idempotency keys in the store', () => {
  it('give a key to one of many who come with it at once, on whatever replica', async () => {
    const keys = Array.from({ length: 20 }, (_, at) =>
      (at % 2 === 0 ? one : another).idempotencyKeys.take(key('race')),
    )
    const types = (await Promise.all(keys)).map(({ type }) => type)
    expect(types.filter((type) => type === 'new')).toHaveLength(1)
    expect(types.filter((type) => type === 'unanswered')).toHaveLength(19)
  })

  it('tell another replica what was answered, and of what', async () => {
    await one.idempotencyKeys.take(key('kept'))
    await one.idempotencyKeys.keep(key('kept'), answer)
    expect(await another.idempotencyKeys.take(key('kept'))).toEqual({ type: 'answered', answer })
    const other = key('kept', 'POST /grants')
    expect(await another.idempotencyKeys.take(other)).toEqual({ type: 'other' })
  })

  it('hold no answer that is a secret', async () => {
    await one.idempotencyKeys.take(key('secret'))
    await one.idempotencyKeys.keep(key('secret'), undefined)
    expect(await another.idempotencyKeys.take(key('secret'))).toEqual({ type: 'withheld' })
  })

  it('are free again when nothing was done, and never when something was', async () => {
    const keys = one.idempotencyKeys
    await keys.take(key('free'))
    await keys.release(key('free'))
    expect(await keys.take(key('free'))).toEqual({ type: 'new' })
    await keys.keep(key('free'), answer)
    await keys.release(key('free'))
    expect(await keys.take(key('free'))).toEqual({ type: 'answered', answer })
  })

  it('are forgotten after a day', async () => {
    await one.idempotencyKeys.take(key('old'))
    await direct.query(
      `update pgwarden.idempotency_keys set taken_at = now() - interval '25 hours' where key = 'old'`,
    )
    expect(await one.idempotencyKeys.take(key('old'))).toEqual({ type: 'new' })
  })
})
