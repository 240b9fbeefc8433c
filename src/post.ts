// One POST to a receiver and what it says to it: within a limit of time, over TLS that no environment
// variable can weaken. Redirects are not followed: they would carry what people wrote to whoever is named
// there. Of the answer only status and Retry-After count; its body is not read, and cannot fill the memory.
// Ignorant of what is sent.

import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import type { SecureContextOptions } from 'node:tls'
import type { Secret } from './secret.ts'

export interface Letter<Body extends string | Buffer = string> {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Body
}

export interface Address {
  /** It may be all that a stranger needs to write there. */
  readonly url: Secret
  /** PEM; the authorities that Node trusts when absent. */
  readonly ca: string | undefined
}

export type Answer =
  | { readonly type: 'accepted' }
  | {
      readonly type: 'refused'
      /** Of the answer; undefined when there was none. */
      readonly status: number | undefined
      /** A sentence without the address. */
      readonly why: string
      readonly retryAfterMs: number | undefined
    }

/** What a receiver may ask for with Retry-After. */
const longestRetryAfterS = 3_600

/** Never rejects. An aborted one is refused. */
export function post(
  { url, ca }: Address,
  { headers, body }: Letter<string | Buffer>,
  limits: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Answer> {
  return new Promise((resolve) => {
    const { timeoutMs, signal } = limits
    const address = new URL(url.reveal())
    // A connection of its own each time: nothing is kept that a stop would have to close.
    const options = { method: 'POST', agent: false } as const
    const outgoing =
      address.protocol === 'https:'
        ? https.request(address, { ...options, ...secureOptions(ca) })
        : http.request(address, options)

    const finish = (answer: Answer): void => {
      clearTimeout(limit)
      signal.removeEventListener('abort', abort)
      outgoing.destroy()
      resolve(answer)
    }
    const fail = (why: string): void =>
      finish({ type: 'refused', status: undefined, why, retryAfterMs: undefined })
    const abort = (): void => fail('pgwarden is being stopped')
    const limit = setTimeout(() => fail(`no answer within ${timeoutMs} ms`), timeoutMs)
    signal.addEventListener('abort', abort, { once: true })

    // A code, not the sentence: that one can name the address.
    outgoing.on('error', (error) => fail(`no connection (${codeOf(error)})`))
    outgoing.on('response', (incoming) => finish(answerOf(incoming)))
    for (const [name, value] of Object.entries(headers)) outgoing.setHeader(name, value)
    if (signal.aborted) abort()
    else outgoing.end(body)
  })
}

function answerOf({ statusCode = 0, headers }: IncomingMessage): Answer {
  if (statusCode >= 200 && statusCode < 300) return { type: 'accepted' }
  const isRedirect = statusCode >= 300 && statusCode < 400
  return {
    type: 'refused',
    status: statusCode,
    why: `status ${statusCode}${isRedirect ? '; redirects are not followed' : ''}`,
    retryAfterMs: retryAfter(headers['retry-after']),
  }
}

/** RFC 9110, 10.2.3; a date instead of seconds is not worth a clock here. */
function retryAfter(value: string | undefined): number | undefined {
  if (value === undefined || !/^\d{1,9}$/.test(value)) return undefined
  return Math.min(Number(value), longestRetryAfterS) * 1_000
}

function secureOptions(ca: string | undefined): SecureContextOptions & https.RequestOptions {
  return {
    minVersion: 'TLSv1.2',
    // Said, because NODE_TLS_REJECT_UNAUTHORIZED=0 is the default of whoever does not.
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
  }
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}
