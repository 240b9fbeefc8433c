// Somebody who is told of changes: an HTTP server on this machine that keeps what it gets and answers as
// the test says.

import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Pair } from './certificates.ts'

export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** `silence`: the letter is taken, and never answered. */
export type Reply =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  | 'silence'

export interface Receiver {
  readonly url: string
  readonly received: readonly Received[]
  /** How many letters were being answered at the same time, at most. */
  readonly mostAtOnce: number
  close(): Promise<void>
}

export async function startReceiver(
  reply: (letter: Received, number: number) => Reply | Promise<Reply> = () => ({ status: 204 }),
  tls?: Pair,
): Promise<Receiver> {
  const received: Received[] = []
  let open = 0
  let mostAtOnce = 0
  const server: Server =
    tls === undefined ? createServer() : createSecureServer({ cert: tls.certificate, key: tls.key })
  server.on('request', async (request, response) => {
    mostAtOnce = Math.max(mostAtOnce, ++open)
    response.on('close', () => open--)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(Buffer.from(chunk))
    const { url: path = '', headers } = request
    const letter = { path, headers, body: Buffer.concat(chunks).toString('utf8') }
    received.push(letter)
    const answer = await reply(letter, received.length)
    if (answer === 'silence') return
    response.writeHead(answer.status, answer.headers).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = addressOf(server)
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/told`,
    received,
    get mostAtOnce() {
      return mostAtOnce
    },
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function addressOf(server: Server): AddressInfo {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening')
  return address
}
