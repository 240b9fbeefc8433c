// Somebody who is told of changes: an HTTP server on this machine that keeps what it gets and answers as
// the test says.

import { once } from 'node:events'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
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
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    mostAtOnce = Math.max(mostAtOnce, ++open)
    response.on('close', () => open--)
    const { url: path = '', headers } = request
    const letter = { path, headers, body: await text(request) }
    received.push(letter)
    const said = await reply(letter, received.length)
    if (said !== 'silence') response.writeHead(said.status, said.headers).end()
  }
  server.on('request', (request, response) => void answer(request, response))
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
