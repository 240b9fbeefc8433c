// The control plane's door: TLS with a certificate that is renewed under it, and who may come without.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createApi } from '../../src/api/api.ts'
import { door, peerOf } from '../../src/api/door.ts'
import { errorResponse } from '../../src/api/problem.ts'
import { type ServedApi, serveApi } from '../../src/api/serve.ts'
import { CertificateWatch } from '../../src/certificates/watch.ts'
import { systemClock } from '../../src/clock.ts'
import { Networks } from '../../src/proxy/networks.ts'
import { certify, type Pair } from '../support/certificates.ts'

const address = '127.0.0.1'
let directory = ''
let served: ServedApi | undefined
let watch: CertificateWatch | undefined

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pgwarden-http-'))
})

afterEach(async () => {
  watch?.stop()
  await served?.close()
  served = undefined
  await rm(directory, { recursive: true })
})

async function show(pair: Pair): Promise<void> {
  await writeFile(join(directory, 'server.crt'), pair.certificate)
  await writeFile(join(directory, 'server.key'), pair.key)
}

async function serveTls(app: Hono): Promise<number> {
  watch = await CertificateWatch.start({
    files: {
      setting: 'http.tls',
      certificate: join(directory, 'server.crt'),
      key: join(directory, 'server.key'),
      clientCa: undefined,
    },
    clock: systemClock,
    observer: { loaded: () => undefined, failed: () => undefined, expiring: () => undefined },
    everyMs: 20,
  })
  served = await serveApi(app, { address, port: 0, certificates: watch })
  return served.port
}

function status(port: number, path: string, ca: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const options = { host: address, port, path, ca, servername: 'localhost', agent: false }
    get(options, (response) => {
      response.resume()
      resolve(response.statusCode)
    }).on('error', reject)
  })
}

const api = (): Hono =>
  createApi({
    checks: [],
    metrics: { contentType: 'text/plain', text: async () => '' },
    onDefect: () => undefined,
  })

describe('the control plane with a certificate', () => {
  it('answers by TLS, and to nobody without', async () => {
    const pair = await certify('one')
    await show(pair)
    const port = await serveTls(api())
    expect(await status(port, '/healthz', pair.certificate)).toBe(200)
    await expect(fetch(`http://${address}:${port}/healthz`)).rejects.toThrow()
  })

  it('speaks no TLS older than 1.2', async () => {
    await show(await certify('one'))
    const port = await serveTls(api())
    const ended = new Promise<string>((resolve) => {
      const old = { port, host: address, rejectUnauthorized: false, ciphers: 'DEFAULT@SECLEVEL=0' }
      const socket = connect({ ...old, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' })
      socket.on('secureConnect', () => resolve('connected')).on('error', () => resolve('refused'))
    })
    expect(await ended).toBe('refused')
  })

  it('shows a renewed certificate to the next connection, without a restart', async () => {
    const [before, after] = [await certify('before'), await certify('after')]
    await show(before)
    const port = await serveTls(api())
    expect(await status(port, '/healthz', before.certificate)).toBe(200)
    await show(after)
    await expect.poll(() => status(port, '/healthz', after.certificate).catch(() => 0)).toBe(200)
    await expect(status(port, '/healthz', before.certificate)).rejects.toThrow()
  })

  it('says which of its files cannot be used', async () => {
    const [one, other] = [await certify('one'), await certify('other')]
    await show({ certificate: one.certificate, key: other.key })
    await expect(serveTls(api())).rejects.toMatchObject({
      message: expect.stringMatching(/^http\.tls\.key .* is not the key of http\.tls\./) as string,
    })
  })
})

describe('the API', () => {
  /** As the control plane mounts it, for callers from these networks. */
  function behindDoor(allowed: readonly string[]): Hono {
    const networks = new Networks(allowed)
    const app = new Hono()
    app.use(
      '/api/*',
      door((from) => networks.has(from)),
    )
    app.get('/api/v1/me', (c) => c.json(peerOf(c)))
    app.get('/healthz', (c) => c.json({ alive: true }))
    app.onError((error) => errorResponse(error, () => undefined))
    return app
  }

  it('is served without TLS where the configuration allows it', async () => {
    served = await serveApi(behindDoor(['127.0.0.0/8']), { address, port: 0 })
    const response = await fetch(`http://${address}:${served.port}/api/v1/me`)
    expect(await response.json()).toEqual({ address, encrypted: false })
  })

  it('is served by TLS to everybody', async () => {
    const pair = await certify('one')
    await show(pair)
    expect(await status(await serveTls(behindDoor([])), '/api/v1/me', pair.certificate)).toBe(200)
  })

  it('answers 403 in the clear to others, whatever a header says; health checks go on', async () => {
    served = await serveApi(behindDoor(['192.0.2.0/24']), { address, port: 0 })
    const claims = {
      'x-forwarded-proto': 'https',
      'x-forwarded-for': '192.0.2.1',
      forwarded: 'for=192.0.2.1;proto=https',
    }
    const url = `http://${address}:${served.port}`
    const response = await fetch(`${url}/api/v1/me`, { headers: claims })
    expect(response.status).toBe(403)
    expect(await response.json()).toMatchObject({
      code: 'forbidden',
      title: 'the API is not served in the clear to this address',
    })
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
  })

  it('trusts nobody whose connection it does not know', async () => {
    expect((await behindDoor(['127.0.0.0/8', '::/0']).request('/api/v1/me')).status).toBe(403)
  })
})
