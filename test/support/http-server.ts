// A function from Request to Response, on a port of this machine.

import { once } from 'node:events'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Fetch } from '../../src/client/exchange.ts'

export interface HttpServer {
  readonly url: string
  stop(): Promise<void>
}

export async function serveHttp(answer: Fetch): Promise<HttpServer> {
  const server = createServer((request, response) => {
    void (async () => {
      const body = await text(request)
      const headers = new Headers()
      for (const [name, value] of Object.entries(request.headers)) headers.set(name, String(value))
      const answered = await answer(`http://127.0.0.1${request.url ?? '/'}`, {
        ...{ method: request.method ?? 'GET', headers },
        ...(body === '' ? {} : { body }),
      })
      response.writeHead(answered.status, Object.fromEntries(answered.headers))
      response.end(await answered.text())
    })()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
