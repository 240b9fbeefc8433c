import { once } from 'node:events'
import { connect } from 'node:net'
import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { createApi } from '../../src/api/api.ts'
import { serveApi } from '../../src/api/serve.ts'
import { Failure } from '../../src/errors.ts'

const address = '127.0.0.1'

function app(): Hono {
  return createApi({
    checks: [],
    metrics: { contentType: 'text/plain', text: async () => '' },
    onDefect: () => {},
  })
}

describe('the control plane, served', () => {
  it('answers over HTTP on the port that it was given', async () => {
    const served = await serveApi(app(), { address, port: 0 })
    const response = await fetch(`http://${address}:${served.port}/healthz`)
    expect(await response.json()).toEqual({ alive: true })
    await served.close()
    await expect(fetch(`http://${address}:${served.port}/healthz`)).rejects.toThrow()
  })

  it('says in a sentence that its port is taken', async () => {
    const served = await serveApi(app(), { address, port: 0 })
    const failure: unknown = await serveApi(app(), { address, port: served.port }).catch(
      (error: unknown) => error,
    )
    await served.close()
    expect(failure).toBeInstanceOf(Failure)
    expect(failure).toMatchObject({
      code: 'invalid_configuration',
      message: `the control plane cannot listen on ${address}:${served.port}: another process is using that port`,
    })
  })

  it('closes at once although a client keeps its connection open', async () => {
    const served = await serveApi(app(), { address, port: 0 })
    const client = connect(served.port, address)
    client.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(client, 'data')
    const started = performance.now()
    await served.close()
    expect(performance.now() - started).toBeLessThan(1000)
    client.destroy()
  })

  it('closes within its limit although a request never ends', async () => {
    const hanging = new Hono()
    hanging.get('/', () => new Promise(() => {}))
    const served = await serveApi(hanging, { address, port: 0 })
    const client = connect(served.port, address)
    client.on('error', () => {})
    client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await new Promise((resolve) => setTimeout(resolve, 50))
    const started = performance.now()
    await served.close()
    expect(performance.now() - started).toBeLessThan(4000)
    client.destroy()
  })
})
