// One HTTP request to Vault and its answer: with connections of our own, limits of time and length, and
// TLS that no environment variable can weaken. It follows no redirect, since the token would go along to
// whoever is named there, and no proxy, which would see it. Ignorant of what is asked.

import { X509Certificate } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import tls from 'node:tls'
import { Failure } from '../../errors.ts'
import type { Secret } from '../../secret.ts'
import { VaultProblem } from './problem.ts'

export interface VaultTls {
  /** PEM; the authorities that Node trusts when absent. */
  readonly ca: string | undefined
  /** The name that the server's certificate must have; the address's host when absent. */
  readonly serverName: string | undefined
  readonly client: { readonly certificate: string; readonly key: Secret } | undefined
}

export interface HttpRequest {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  /** How long until there is a connection, TLS included. */
  readonly connectMs: number
  /** For everything, from now on. */
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

export interface HttpReply {
  readonly status: number
  readonly retryAfter: string | undefined
  readonly body: string
}

export interface Transport {
  /** @throws VaultProblem `unreachable`, or the reason of the signal. */
  send(request: HttpRequest): Promise<HttpReply>
  close(): void
}

/** Lists of leases apart, which nobody asks for here, no answer of Vault comes near it. */
const longestBody = 1024 * 1024
/** How many there are at a time is seen to in lanes.ts: here a question would wait for its time to be over. */
const pool: http.AgentOptions = {
  keepAlive: true,
  maxFreeSockets: 4,
  // Shorter than what servers and balancers give an idle connection: none is used that is being closed.
  timeout: 15_000,
}

/** @throws Failure invalid_configuration for certificates that cannot be used. */
export function openTransport(settings: VaultTls): Transport {
  const plain = new http.Agent(pool)
  const secure = new https.Agent({ ...pool, ...tlsOptions(settings) })
  return {
    send: (request) => send(request, plain, secure),
    close: () => {
      plain.destroy()
      secure.destroy()
    },
  }
}

export function tlsOptions({ ca, serverName, client }: VaultTls): https.AgentOptions {
  try {
    // OpenSSL passes over what is no certificate: a file without one would trust nobody, and say nothing.
    if (ca !== undefined) new X509Certificate(ca)
    return {
      // Not the key itself: where NODE_DEBUG says so, Node prints what an agent and a request are made with.
      secureContext: tls.createSecureContext({
        minVersion: 'TLSv1.2',
        ...(ca === undefined ? {} : { ca }),
        ...(client === undefined ? {} : { cert: client.certificate, key: client.key.reveal() }),
      }),
      // Said, because NODE_TLS_REJECT_UNAUTHORIZED=0 is the default of whoever does not.
      rejectUnauthorized: true,
      ...(serverName === undefined
        ? {}
        : {
            // SNI carries names only.
            servername: isIP(serverName) === 0 ? serverName : '',
            checkServerIdentity: (_, certificate) =>
              tls.checkServerIdentity(serverName, certificate),
          }),
    }
  } catch (error) {
    throw new Failure('invalid_configuration', {
      message: 'the certificates for Vault cannot be used',
      ...(error instanceof Error ? { detail: `OpenSSL says: ${error.message}.` } : {}),
      hint: 'vault.tls.ca, certificate and key are PEM files, and the key is that of the certificate.',
    })
  }
}

function send(request: HttpRequest, plain: http.Agent, secure: https.Agent): Promise<HttpReply> {
  const { method, url, headers, body, connectMs, timeoutMs, signal } = request
  const isSecure = url.protocol === 'https:'
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    let isSent = false
    const outgoing = isSecure
      ? https.request(url, { method, agent: secure })
      : http.request(url, { method, agent: plain })
    // Now, and not before: see secureContext.
    for (const [name, value] of Object.entries(headers)) outgoing.setHeader(name, value)

    const finish = (settle: () => void): void => {
      clearTimeout(limit)
      clearTimeout(connectLimit)
      signal?.removeEventListener('abort', abort)
      settle()
    }
    const fail = (why: string): void => {
      const message = `${method} ${url.href}: ${why.slice(0, 300)}`
      finish(() => reject(new VaultProblem('unreachable', message, { unanswered: isSent })))
      outgoing.destroy()
    }
    const abort = (): void => {
      finish(() => reject(signal?.reason))
      outgoing.destroy()
    }
    const limit = setTimeout(() => fail(`no answer within ${timeoutMs} ms`), timeoutMs)
    let connectLimit: NodeJS.Timeout | undefined
    signal?.addEventListener('abort', abort, { once: true })

    outgoing.on('socket', (socket) => {
      if (outgoing.reusedSocket) {
        isSent = true
        return
      }
      connectLimit = setTimeout(() => fail(`no connection within ${connectMs} ms`), connectMs)
      socket.once(isSecure ? 'secureConnect' : 'connect', () => {
        clearTimeout(connectLimit)
        isSent = true
      })
    })
    // Of an error only the sentence: the object may hold what was sent.
    outgoing.on('error', (error) => fail(error.message))
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = []
      let length = 0
      incoming.on('data', (chunk: Buffer) => {
        length += chunk.length
        if (length > longestBody) fail('the answer is longer than 1 MiB')
        else chunks.push(chunk)
      })
      incoming.on('error', (error) => fail(error.message))
      incoming.on('end', () =>
        finish(() =>
          resolve({
            status: incoming.statusCode ?? 0,
            retryAfter: incoming.headers['retry-after'],
            body: Buffer.concat(chunks).toString('utf8'),
          }),
        ),
      )
    })
    outgoing.end(body)
  })
}
