import { describe, expect, it } from 'vitest'
import { createApi } from '../../src/api/api.ts'
import type { ReadinessCheck } from '../../src/api/readiness.ts'
import { Failure } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'

const metrics = { contentType: 'text/plain; version=0.0.4', text: async () => 'up 1\n' }

function fixture(checks: readonly ReadinessCheck[] = [], token?: Secret) {
  const defects: unknown[] = []
  const app = createApi({
    checks,
    metrics: { ...metrics, token },
    onDefect: (error) => defects.push(error),
  })
  return { app, defects }
}

const well = (name: string): ReadinessCheck => ({ name, check: async () => {}, limitMs: 1000 })

function failing(name: string, error: Error): ReadinessCheck {
  return { name, check: () => Promise.reject(error), limitMs: 1000 }
}

describe('the control plane', () => {
  it('says that it is alive whatever else is not', async () => {
    const { app } = fixture([failing('store', new Error('down'))])
    const response = await app.request('/healthz')
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ alive: true })
  })

  it('is ready when every check passes', async () => {
    const { app } = fixture([well('store'), well('journal')])
    const response = await app.request('/readyz')
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({
      ready: true,
      checks: { store: 'ok', journal: 'ok' },
    })
    expect(response.headers.get('cache-control')).toBe('no-store')
  })

  it('is not ready when one check fails, and says which and why', async () => {
    const down = new Failure('journal_unavailable', { message: 'the journal cannot be written' })
    const { app } = fixture([well('store'), failing('journal', down)])
    const response = await app.request('/readyz')
    expect(response.status).toBe(503)
    expect(await response.json()).toEqual({
      ready: false,
      checks: { store: 'ok', journal: 'the journal cannot be written' },
    })
  })

  it('is ready without what it can do without for a while, and says what is wrong with it', async () => {
    const sealed = new Failure('cannot_connect_now', { message: 'it is sealed' })
    const vault = { ...failing('vault', sealed), dispensable: true }
    const { app } = fixture([well('store'), vault])
    const response = await app.request('/readyz')
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({
      ready: true,
      checks: { store: 'ok', vault: 'it is sealed' },
    })
  })

  it('shows nobody the text of an unexpected error, but passes it to the log', async () => {
    const error = new Error('password of postgres://u:hunter2@db is wrong')
    const { app, defects } = fixture([failing('store', error)])
    const response = await app.request('/readyz')
    expect(await response.json()).toEqual({ ready: false, checks: { store: 'failed' } })
    expect(defects).toEqual([error])
  })

  it('answers in time when a check hangs, and does not begin it again', async () => {
    let begun = 0
    const hanging: ReadinessCheck = {
      name: 'store',
      check: () => {
        begun += 1
        return new Promise(() => {})
      },
      limitMs: 20,
    }
    const { app } = fixture([hanging])
    for (let i = 0; i < 3; i += 1) {
      const response = await app.request('/readyz')
      expect(response.status).toBe(503)
      expect(await response.json()).toMatchObject({ checks: { store: 'no answer within 20 ms' } })
    }
    expect(begun).toBe(1)
  })

  it('checks anew at each request', async () => {
    let healthy = false
    const changing: ReadinessCheck = {
      name: 'journal',
      check: async () => {
        if (!healthy) throw new Failure('journal_unavailable', { message: 'no room' })
      },
      limitMs: 1000,
    }
    const { app } = fixture([changing])
    expect((await app.request('/readyz')).status).toBe(503)
    healthy = true
    expect((await app.request('/readyz')).status).toBe(200)
  })

  it('serves the metrics with their content type', async () => {
    const response = await fixture().app.request('/metrics')
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4')
    expect(await response.text()).toBe('up 1\n')
  })

  it('shows the metrics to those who know their token, and to nobody else', async () => {
    const { app } = fixture([], new Secret('a token for scrapes'.replaceAll(' ', '-')))
    const scrape = (authorization?: string) =>
      app.request('/metrics', { headers: authorization === undefined ? {} : { authorization } })
    for (const wrong of [
      undefined,
      'Bearer',
      'Bearer a-token-for-scrape',
      'Bearer a-token-for-scrapes2',
      'Basic a-token-for-scrapes',
    ]) {
      const refused = await scrape(wrong)
      expect(refused.status, wrong).toBe(401)
      expect(refused.headers.get('www-authenticate')).toBe('Bearer realm="pgwarden metrics"')
      expect(await refused.text()).toContain('Send the header \\"Authorization: Bearer TOKEN\\"')
    }
    const answered = await scrape('Bearer a-token-for-scrapes')
    expect(answered.status).toBe(200)
    expect(await answered.text()).toBe('up 1\n')
    // A probe has no token.
    expect((await app.request('/readyz')).status).toBe(200)
  })

  it('counts once for all who scrape at the same time, and anew for who comes later', async () => {
    let counted = 0
    const text = async () => {
      counted += 1
      const answer = `up ${counted}\n`
      await new Promise((resolve) => setImmediate(resolve))
      return answer
    }
    const app = createApi({ checks: [], metrics: { ...metrics, text }, onDefect: () => undefined })
    const scrape = async () => (await app.request('/metrics')).text()
    expect(await Promise.all([scrape(), scrape(), scrape()])).toEqual(Array(3).fill('up 1\n'))
    expect(await scrape()).toBe('up 2\n')
  })

  it('says where the metrics are, where they have a listener of their own', async () => {
    const app = createApi({ checks: [], metrics: { port: 9432 }, onDefect: () => undefined })
    const response = await app.request('/metrics')
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({
      title: 'the metrics are not served here',
      hint: 'They have a listener of their own, on port 9432.',
    })
  })

  it('answers an unknown address with problem+json', async () => {
    const response = await fixture().app.request('/nowhere')
    expect(response.status).toBe(404)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    expect(await response.json()).toEqual({
      type: 'urn:pgwarden:problem:not_found',
      code: 'not_found',
      status: 404,
      title: 'there is nothing at this address',
    })
  })

  it('answers a Failure with its status, code and sentences', async () => {
    const { app, defects } = fixture()
    app.get('/fails', () => {
      throw new Failure('not_found', { message: 'no such grant', hint: 'Look again.' })
    })
    const response = await app.request('/fails')
    expect(response.status).toBe(404)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(await response.json()).toEqual({
      type: 'urn:pgwarden:problem:not_found',
      code: 'not_found',
      status: 404,
      title: 'no such grant',
      hint: 'Look again.',
    })
    expect(defects).toEqual([])
  })

  it('answers a defect with no word of what it was', async () => {
    const { app, defects } = fixture()
    const error = new Error('secret detail')
    app.get('/breaks', () => {
      throw error
    })
    const response = await app.request('/breaks')
    expect(response.status).toBe(500)
    expect(await response.json()).toEqual({
      type: 'urn:pgwarden:problem:internal_error',
      code: 'internal_error',
      status: 500,
      title: 'something went wrong inside pgwarden',
    })
    expect(defects).toEqual([error])
  })
})
