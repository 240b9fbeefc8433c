// A Vault for what a real one does not do on demand: sealed in the middle of a renewal, a standby, too
// many requests, slow, silent, cut. Between troubles it answers as fake-vault-state.ts says. A real
// server on loopback; every request to it is kept for tests to look at.

import { once } from 'node:events'
import http, { type IncomingHttpHeaders } from 'node:http'
import https from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { FakeVaultState } from './fake-vault-state.ts'

export type Trouble =
  | {
      readonly type: 'status'
      readonly status: number
      readonly headers?: Record<string, string>
      readonly body?: string
    }
  /** Answers well, and late. */
  | { readonly type: 'slow'; readonly ms: number }
  /** Never answers. */
  | { readonly type: 'hang' }
  /** Closes the connection; `obeyed`: after it has done what it was asked. */
  | { readonly type: 'cut'; readonly obeyed?: boolean }

const errors = (...texts: readonly string[]): string => JSON.stringify({ errors: texts })

/** Troubles by name. */
export const sealed: Trouble = { type: 'status', status: 503, body: errors('Vault is sealed') }
export const denied: Trouble = { type: 'status', status: 403, body: errors('permission denied') }
export const failing: Trouble = { type: 'status', status: 500, body: errors('internal error') }
export const hang: Trouble = { type: 'hang' }
export const cut: Trouble = { type: 'cut' }

/** `status`: 307 with the active node's address, or what sys/health says of standbys. */
export function standby(status: 307 | 412 | 429 | 472 | 473, location?: string): Trouble {
  return {
    type: 'status',
    status,
    ...(location === undefined ? {} : { headers: { Location: location } }),
    body: '',
  }
}

export function throttled(retryAfterSeconds: number): Trouble {
  return {
    type: 'status',
    status: 429,
    headers: { 'Retry-After': String(retryAfterSeconds) },
    body: errors('request path "x": rate limit quota exceeded'),
  }
}

export interface Received {
  readonly method: string
  /** Decoded, without /v1/. */
  readonly path: string
  /** As it came. */
  readonly url: string
  readonly token: string | undefined
  readonly namespace: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: Readonly<Record<string, unknown>>
}

interface Scripted {
  readonly trouble: Trouble
  readonly path: RegExp
  left: number
}

export interface FakeVaultOptions {
  readonly port?: number
  readonly tls?: { readonly certificate: string; readonly key: string; readonly clientCa?: string }
}

export class FakeVault {
  readonly state = new FakeVaultState()
  readonly received: Received[] = []
  /** How many there were since the start. */
  connections = 0
  readonly #server: http.Server
  #scripted: Scripted[] = []

  private constructor({ tls }: FakeVaultOptions) {
    const serve: http.RequestListener = (request, response) => {
      // What fails here is a test's connection that was cut: nobody is there to be told.
      this.#serve(request, response).catch(() => response.destroy())
    }
    this.#server =
      tls === undefined
        ? http.createServer(serve)
        : https.createServer(
            {
              cert: tls.certificate,
              key: tls.key,
              ...(tls.clientCa === undefined
                ? {}
                : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
            },
            serve,
          )
    this.#server.on('connection', () => {
      this.connections += 1
    })
  }

  static async start(options: FakeVaultOptions = {}): Promise<FakeVault> {
    const vault = new FakeVault(options)
    vault.#server.listen(options.port ?? 0, '127.0.0.1')
    await once(vault.#server, 'listening')
    return vault
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the fake Vault is closed')
    return address.port
  }

  get address(): string {
    return `http${this.#server instanceof https.Server ? 's' : ''}://127.0.0.1:${this.port}`
  }

  /** The next `times` requests to matching paths meet this. All of them, by default, until heal(). */
  trouble(trouble: Trouble, { path = /^/, times = Number.POSITIVE_INFINITY } = {}): void {
    this.#scripted.push({ trouble, path, left: times })
  }

  heal(): void {
    this.#scripted = []
  }

  /** What was asked of matching paths. */
  asked(path: RegExp): Received[] {
    return this.received.filter((one) => path.test(one.path))
  }

  /** Every connection is cut; nobody answers at the address any more. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const received = await receivedOf(request)
    this.received.push(received)
    const trouble = this.#next(received.path)
    switch (trouble?.type) {
      case 'status':
        response.writeHead(trouble.status, trouble.headers).end(trouble.body)
        return
      case 'hang':
        return
      case 'cut':
        if (trouble.obeyed === true) await this.state.answer(received)
        response.destroy()
        return
      case 'slow':
        await sleep(trouble.ms)
        break
      case undefined:
    }
    const { status, body } = await this.state.answer(received)
    response.writeHead(status, { 'Content-Type': 'application/json' })
    response.end(body === undefined ? undefined : JSON.stringify(body))
  }

  #next(path: string): Trouble | undefined {
    const scripted = this.#scripted.find((one) => one.left > 0 && one.path.test(path))
    if (scripted === undefined) return undefined
    scripted.left -= 1
    return scripted.trouble
  }
}

async function receivedOf(request: http.IncomingMessage): Promise<Received> {
  const chunks: Buffer[] = []
  for await (const chunk of request) if (Buffer.isBuffer(chunk)) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString('utf8')
  const body: unknown = text === '' ? {} : JSON.parse(text)
  const url = request.url ?? ''
  return {
    method: request.method ?? '',
    url,
    path: decodeURIComponent(url.replace(/^\/v1\//, '')),
    token: single(request.headers['x-vault-token']),
    namespace: single(request.headers['x-vault-namespace']),
    headers: request.headers,
    body: typeof body === 'object' && body !== null ? { ...body } : {},
  }
}

function single(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.[0]
}
