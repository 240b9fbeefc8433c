import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Failure } from '../../src/errors.ts'
import { controlPlane, grantId } from '../support/memory-control-plane.ts'

const full = new Failure('journal_unavailable', { message: 'the journal cannot be written' })
const asked = { target: 'shop', role: 'read_only', reason: 'wrong total' }

/** What is on record of calls, without what all have. */
function callsIn(recorded: readonly string[]): unknown[] {
  return recorded
    .map((fields): unknown => JSON.parse(`{${fields}}`))
    .filter((record) => (record as { type: string }).type === 'api.call')
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('a call of the API', () => {
  it('is on record with who made it, of what, and how it was answered', async () => {
    const { call, recorded } = controlPlane()
    await call('GET', `/grants/${grantId}`)
    await call('GET', '/grants/aaaaaaaaaaaaaaaa', { by: 'bob' })
    await call('POST', '/requests', { body: asked })
    await call('GET', '/audit/events?text=secret', { by: 'alice' })
    await call('GET', '/nowhere/at/all')
    const alice = { type: 'api.call', by: 'alice', via: 'oidc', client: '' }
    expect(callsIn(recorded)).toEqual([
      {
        ...{ ...alice, method: 'GET', route: '/api/v1/grants/:id', status: 200 },
        ids: { id: grantId },
      },
      {
        ...{ ...alice, by: 'bob', method: 'GET', route: '/api/v1/grants/:id', status: 404 },
        ids: { id: 'aaaaaaaaaaaaaaaa' },
      },
      { ...alice, method: 'POST', route: '/api/v1/requests', status: 201 },
      { ...alice, method: 'GET', route: '/api/v1/audit/events', status: 403 },
      expect.objectContaining({ ...alice, status: 404 }),
    ])
    expect(recorded.join()).not.toContain('secret')
    expect(recorded.join()).not.toContain('nowhere')
  })

  it('is not answered when that it was made cannot be recorded', async () => {
    const { call } = controlPlane({ record: () => Promise.reject(full) })
    const refused = await call('GET', `/grants/${grantId}`)
    expect(refused.status).toBe(503)
    expect(refused.headers.get('etag')).toBeNull()
    expect(await refused.json()).toMatchObject({ code: 'journal_unavailable' })
  })

  it('that has changed something says so, whatever becomes of its record: the change is on record', async () => {
    const { call, recorded } = controlPlane({ record: () => Promise.reject(full) })
    expect((await call('POST', '/requests', { body: asked })).status).toBe(201)
    expect(callsIn(recorded)).toHaveLength(1)
  })

  it('ends a stream that was not recorded, and lets go of what it reads', async () => {
    let ended = false
    const { call } = controlPlane({
      record: async (fields) => {
        if (fields.includes('api.call')) throw full
      },
      audit: {
        events: async () => ({ items: [], next: undefined }),
        stream: (_, __, signal) => {
          signal.addEventListener('abort', () => {
            ended = true
          })
          return (async function* () {
            await new Promise(() => {})
            yield* []
          })()
        },
      },
    })
    expect((await call('GET', '/audit/stream', { by: 'carol' })).status).toBe(503)
    expect(ended).toBe(true)
  })

  it('of strangers is on record at once, and once a second how many more there were', async () => {
    const { call, recorded } = controlPlane()
    for (let i = 0; i < 20; i += 1)
      await call('GET', `/grants/${'x'.repeat(16)}`, { by: 'mallory' })
    const stranger = { type: 'api.call', method: 'GET', status: 401, client: '' }
    expect(callsIn(recorded)).toEqual([expect.objectContaining(stranger)])
    vi.advanceTimersByTime(1_000)
    expect(callsIn(recorded)[1]).toMatchObject({ ...stranger, count: 19 })
    vi.advanceTimersByTime(5_000)
    expect(callsIn(recorded)).toHaveLength(2)
    expect(recorded.join()).not.toContain('xxxx')
  })

  it('of strangers is on record before pgwarden stops', async () => {
    const stopping = new AbortController()
    const { call, recorded } = controlPlane({ stopping: stopping.signal })
    for (let i = 0; i < 3; i += 1) await call('GET', '/me', { by: 'mallory' })
    stopping.abort()
    expect(callsIn(recorded)[1]).toMatchObject({ status: 401, count: 2 })
  })

  it('for what everybody may have has none: the document, and how to log in', async () => {
    const { call, recorded } = controlPlane()
    await call('GET', '/login')
    await call('GET', '/openapi.json')
    vi.advanceTimersByTime(1_000)
    expect(callsIn(recorded)).toEqual([])
  })
})
