import { describe, expect, it } from 'vitest'
import { Failure } from '../../src/errors.ts'
import {
  callerNamed,
  controlPlane,
  grant,
  grantId,
  obligingDesk,
  requestId,
} from '../support/memory-control-plane.ts'

const asked = { target: 'shop', role: 'read_only', reason: 'wrong total' }

describe('an idempotency key', () => {
  const counting = () => {
    let asks = 0
    const desk = obligingDesk()
    const plane = controlPlane({
      desk: {
        ...desk,
        request: (by, terms) => {
          asks += 1
          return desk.request(by, terms)
        },
      },
    })
    return { ...plane, asks: () => asks }
  }
  const headers = { 'idempotency-key': 'k1' }

  it('has a repeated request answered as the first, and done once', async () => {
    const { call, asks } = counting()
    const first = await call('POST', '/requests', { body: asked, headers })
    const again = await call('POST', '/requests', { body: asked, headers })
    expect(asks()).toBe(1)
    expect(again.status).toBe(201)
    expect(again.headers.get('location')).toBe(`/api/v1/requests/${requestId}`)
    expect(again.headers.get('etag')).toBe(first.headers.get('etag'))
    expect(await again.text()).toBe(await first.text())
  })

  it('is refused for another body, and does nothing', async () => {
    const { call, asks } = counting()
    await call('POST', '/requests', { body: asked, headers })
    const other = await call('POST', '/requests', { body: { ...asked, reason: 'else' }, headers })
    expect(other.status).toBe(422)
    expect(await other.json()).toMatchObject({ code: 'key_reused' })
    expect(asks()).toBe(1)
  })

  it("of one principal is not another's", async () => {
    const { call, asks } = counting()
    await call('POST', '/requests', { body: asked, headers })
    expect((await call('POST', '/requests', { body: asked, headers, by: 'bob' })).status).toBe(201)
    expect(asks()).toBe(2)
  })

  it('is free again after a refusal, which has changed nothing', async () => {
    const { call } = counting()
    const path = `/requests/${grantId}/approve`
    expect((await call('POST', path, { headers })).status).toBe(404)
    expect((await call('POST', path, { headers })).status).toBe(404)
  })

  it('stays taken after a failure of which nobody knows what was done', async () => {
    const lost = new Failure('cannot_connect_now', { message: 'the store is gone' })
    const desk = { ...obligingDesk(), request: () => Promise.reject(lost) }
    const { call } = controlPlane({ desk })
    expect((await call('POST', '/requests', { body: asked, headers })).status).toBe(503)
    expect((await call('POST', '/requests', { body: asked, headers })).status).toBe(409)
  })

  it('does not bring a token back', async () => {
    const { call } = counting()
    const path = `/grants/${grantId}/tokens`
    expect((await call('POST', path, { body: {}, headers })).status).toBe(201)
    const again = await call('POST', path, { body: {}, headers })
    expect(again.status).toBe(409)
    expect(await again.text()).not.toContain('pgw_')
  })
})

describe('an ETag', () => {
  it('spares whoever has the object its body', async () => {
    const { call } = controlPlane()
    const etag = (await call('GET', `/grants/${grantId}`)).headers.get('etag') ?? ''
    const again = await call('GET', `/grants/${grantId}`, { headers: { 'if-none-match': etag } })
    expect([again.status, await again.text()]).toEqual([304, ''])
  })

  it('keeps a decision from being made on what has changed since', async () => {
    const { call } = controlPlane()
    const etag = (await call('GET', `/requests/${requestId}`)).headers.get('etag') ?? ''
    const path = `/requests/${requestId}/approve`
    const stale = await call('POST', path, { by: 'bob', headers: { 'if-match': '"stale"' } })
    expect([stale.status, await stale.json()]).toMatchObject([412, { code: 'precondition_failed' }])
    expect((await call('POST', path, { headers: { 'if-match': etag } })).status).toBe(200)
  })

  it('keeps a grant from being revoked that is not as it was seen', async () => {
    const revoked: string[] = []
    const desk = obligingDesk()
    const { call } = controlPlane({
      desk: {
        ...desk,
        revoke: (by, id, why) => desk.revoke(by, id, why).finally(() => revoked.push(id)),
      },
    })
    const path = `/grants/${grantId}?reason=x`
    expect((await call('DELETE', path, { headers: { 'if-match': '"stale"' } })).status).toBe(412)
    expect(revoked).toEqual([])
  })
})

describe('a revoke', () => {
  it('says which sessions and logins are left when they are not gone in time', async () => {
    const progress = {
      of: async () => ({
        sessions: [{ id: 's1' }],
        logins: [{ id: 'l1', engine: 'broker', databaseRole: 'pgw_x', ended: undefined } as const],
      }),
    }
    const { call } = controlPlane({ progress })
    const response = await call('DELETE', `/grants/${grantId}?reason=stolen&waitSeconds=0`)
    expect(response.status).toBe(202)
    expect(await response.json()).toMatchObject({
      grant: { id: grantId, state: 'revoked', openLogins: 1 },
      complete: false,
      sessions: ['s1'],
      logins: [{ lease: 'l1', engine: 'broker', databaseRole: 'pgw_x', state: 'open' }],
    })
  })

  it('answers when the last one is gone', async () => {
    let looks = 0
    const progress = {
      of: async () => {
        looks += 1
        return { sessions: looks < 3 ? [{ id: 's1' }] : [], logins: [] }
      },
    }
    const { call } = controlPlane({ progress })
    const response = await call('DELETE', `/grants/${grantId}?reason=stolen`)
    expect([response.status, looks]).toEqual([200, 3])
    expect(await response.json()).toMatchObject({ complete: true, sessions: [] })
  })
})

describe('the API', () => {
  it('lets nobody but auditors read the audit, and puts on record who did', async () => {
    const { call, recorded } = controlPlane()
    for (const by of ['alice', 'bob', 'dave']) {
      expect((await call('GET', '/audit/events', { by })).status).toBe(403)
      expect((await call('GET', '/audit/stream', { by })).status).toBe(403)
    }
    const readings = () => recorded.filter((fields) => fields.includes('audit.read'))
    expect(readings()).toEqual([])
    expect((await call('GET', '/audit/events?principal=alice', { by: 'carol' })).status).toBe(200)
    expect(readings()).toEqual([
      '"type":"audit.read","by":"carol","via":"oidc","how":"events","filter":"{\\"principal\\":\\"alice\\"}"',
    ])
  })

  it('hands out no record when the reading of it cannot be recorded', async () => {
    const full = new Failure('journal_unavailable', { message: 'the journal cannot be written' })
    const { call } = controlPlane({ record: () => Promise.reject(full) })
    expect((await call('GET', '/audit/events', { by: 'carol' })).status).toBe(503)
    expect((await call('GET', '/audit/stream', { by: 'carol' })).status).toBe(503)
  })

  it('ends a stream of the audit when its credential is revoked or its bearer no auditor any more', async () => {
    const revoked = () =>
      Promise.reject(new Failure('unauthenticated', { message: 'the API key has been revoked' }))
    const away = () =>
      Promise.reject(new Failure('cannot_connect_now', { message: 'the store is away' }))
    const dismissed = () => Promise.resolve(callerNamed('alice'))
    for (const last of [revoked, dismissed]) {
      const answers = [() => Promise.resolve(callerNamed('carol')), away, last]
      const { call } = controlPlane({
        limits: { recheckMs: 5 },
        authenticator: { identify: () => (answers.shift() ?? last)() },
        audit: {
          events: async () => ({ items: [], next: undefined }),
          stream: async function* () {
            await new Promise(() => {})
            yield* []
          },
        },
      })
      const stream = await call('GET', '/audit/stream')
      expect(await stream.text()).toContain('your credential is not good for this any more')
      expect(answers).toEqual([])
    }
  })

  it("shows nobody others' sessions but administrators and auditors", async () => {
    const wanted: unknown[] = []
    const sessions = {
      list: async (filter: unknown) => {
        wanted.push(filter)
        return []
      },
      end: async () => true,
    }
    const { call } = controlPlane({ sessions })
    await call('GET', '/sessions', { by: 'alice' })
    await call('GET', '/sessions', { by: 'carol' })
    await call('GET', '/sessions?principal=bob', { by: 'dave' })
    expect(wanted).toEqual([{ principal: 'alice' }, {}, { principal: 'bob' }])
    expect((await call('GET', '/sessions?principal=bob', { by: 'alice' })).status).toBe(403)
  })

  it('stops listening to an address that fails to authenticate too often, and says for how long', async () => {
    const { call } = controlPlane({ limits: { failedAuthenticationsPerMinute: 3 } })
    for (let failed = 0; failed < 3; failed += 1) {
      expect((await call('GET', '/me', { by: 'mallory' })).status).toBe(401)
    }
    const refused = await call('GET', '/me', { by: 'alice' })
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  })

  it('listens to a credential that was good of late, whoever else fails from its address', async () => {
    let revoked = false
    const identify = (authorization = '') =>
      authorization === 'Bearer carol' || (authorization === 'Bearer alice' && !revoked)
        ? Promise.resolve(callerNamed('alice'))
        : Promise.reject(new Failure('unauthenticated', { message: 'this credential is none' }))
    const limits = { failedAuthenticationsPerMinute: 3 }
    const { call } = controlPlane({ limits, authenticator: { identify } })
    const statusOf = async (by: string) => (await call('GET', '/me', { by })).status
    expect(await statusOf('alice')).toBe(200)
    for (let failed = 0; failed < 4; failed += 1) await statusOf('mallory')
    expect(await statusOf('alice')).toBe(200)
    expect(await statusOf('carol')).toBe(429)
    revoked = true
    await statusOf('alice')
    revoked = false
    expect(await statusOf('alice')).toBe(429)
  })

  it('answers one principal so often a minute, and others all the same', async () => {
    const { call } = controlPlane({ limits: { requestsPerMinute: 2 } })
    const statuses = []
    for (const by of ['alice', 'alice', 'alice', 'bob']) {
      statuses.push((await call('GET', '/me', { by })).status)
    }
    expect(statuses).toEqual([200, 200, 429, 200])
  })

  it('gives up after its time, with a sentence', async () => {
    const desk = { ...obligingDesk(), findGrant: () => new Promise<never>(() => {}) }
    const { call } = controlPlane({ desk, limits: { requestMs: 20 } })
    const response = await call('GET', `/grants/${grantId}`)
    expect([response.status, await response.json()]).toMatchObject([
      503,
      { code: 'cannot_connect_now' },
    ])
  })

  it('tells the log who called what, and nothing of what was said', async () => {
    const { call, answered } = controlPlane()
    await call('DELETE', `/grants/${grantId}?reason=very-secret`)
    await call('GET', '/nowhere/very-secret')
    expect(answered).toMatchObject([
      { principal: 'alice', method: 'DELETE', route: '/api/v1/grants/:id', status: 200 },
      { principal: 'alice', method: 'GET', route: '/api/v1/*', status: 404 },
    ])
    expect(JSON.stringify(answered)).not.toContain('very-secret')
  })

  it('shows a token in its answer and in no other place', async () => {
    const { call, answered } = controlPlane()
    const response = await call('POST', `/grants/${grantId}/tokens`, { body: { kind: 'reusable' } })
    const token: unknown = await response.json()
    expect(token).toMatchObject({
      kind: 'reusable',
      grantId,
      expiresAt: new Date(grant.endsAt).toISOString(),
      connection: { host: 'db.example', port: 6432, database: 'shop', user: 'alice' },
    })
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(JSON.stringify(answered)).not.toContain('pgw_')
  })

  it('has a page to read without a script and without anything from elsewhere', async () => {
    const { call } = controlPlane()
    const response = await call('GET', '/docs')
    const page = await response.text()
    expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'none'/)
    expect(page).not.toMatch(/<script|src=|https?:\/\/(?!id\.example)/i)
    expect(page).toContain('DELETE /api/v1/grants/{id}')
  })

  it('refuses another method with what can be done there', async () => {
    const { call } = controlPlane()
    const response = await call('PUT', `/grants/${grantId}`)
    expect([response.status, response.headers.get('allow')]).toEqual([
      405,
      'GET, HEAD, DELETE, OPTIONS',
    ])
  })
})
