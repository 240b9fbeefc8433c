// One question to the control plane over HTTP, and its answer checked: time limits, a limit of size, and
// questions without effect asked again. Ignorant of what is asked, and of where the credential comes from.

import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type * as z from 'zod'
import { Failure } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { ApiFailure, failureOf } from './failure.ts'
import { type ServerEvent, serverEvents } from './server-sent.ts'

export type Fetch = typeof fetch

export interface ExchangeOptions {
  /** Ends with a slash. */
  readonly server: URL
  /** Asked before each question: a login may have to be refreshed. */
  readonly credential: () => Promise<Secret | undefined>
  readonly fetch: Fetch
  readonly pause: (milliseconds: number) => Promise<void>
  readonly version: string
}

export interface Question<T> {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Below /api/v1/. Each part is encoded. */
  readonly path: readonly string[]
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly body?: object
  readonly answer: z.ZodType<T>
  /** How long the server itself may take its time. */
  readonly waitMs?: number
}

const limitMs = 15_000
/** A stream says every 15 s that it is there. */
const silentMs = 45_000
const silent = new Error('nothing has come for a while')
/** Far more than any page of the API. */
const limitBytes = 8 * 1024 * 1024
/** A proxy that is being replaced is back, or another one is, within these. */
const retryAfterMs = [250, 1_000]
const passing: ReadonlySet<number> = new Set([502, 503, 504])

export class Exchange {
  readonly #options: ExchangeOptions

  constructor(options: ExchangeOptions) {
    this.#options = options
  }

  /** Rejects with an ApiFailure when the server says no, with a Failure when it cannot be asked. */
  async ask<T>(question: Question<T>): Promise<T> {
    // What has an effect is asked once: whether it happened is for a person to look at.
    const pauses = question.method === 'GET' ? retryAfterMs : []
    // The same for every attempt, should something on the way repeat the question.
    const key = randomUUID()
    for (const pause of pauses) {
      const outcome = await this.#attempt(question, key)
      if (outcome.type === 'answer') return outcome.answer
      if (!outcome.passing) throw outcome.failure
      await this.#options.pause(pause)
    }
    const outcome = await this.#attempt(question, key)
    if (outcome.type === 'answer') return outcome.answer
    throw outcome.failure
  }

  /**
   * Server-sent events behind the one whose id is `after`, until the server ends them or `signal` fires.
   * Asked once; rejects as `ask` does, also when the connection breaks or nothing comes any more.
   */
  async *events(
    question: Omit<Question<unknown>, 'answer' | 'method'>,
    after: string | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<ServerEvent> {
    const { server, fetch } = this.#options
    const silence = new AbortController()
    const listen = (): NodeJS.Timeout => setTimeout(() => silence.abort(silent), silentMs)
    let timer = listen()
    try {
      const headers = await this.#headers({ method: 'GET' }, '')
      const response = await fetch(urlOf(server, question), {
        headers: {
          ...headers,
          accept: 'text/event-stream, application/problem+json',
          ...(after === undefined ? {} : { 'last-event-id': after }),
        },
        redirect: 'manual',
        signal: AbortSignal.any([signal, silence.signal]),
      })
      if (response.status >= 300 && response.status < 400) throw elsewhere(server, response)
      if (!response.ok) throw failureOf(response.status, parsed(await bodyOf(response)))
      const body: AsyncIterable<unknown> = response.body ?? Readable.from([])
      yield* serverEvents(
        (async function* () {
          for await (const chunk of body) {
            clearTimeout(timer)
            timer = listen()
            yield chunk
          }
        })(),
      )
    } catch (error) {
      if (signal.aborted) return
      throw error instanceof Failure || error instanceof ApiFailure
        ? error
        : unreachable(server, error)
    } finally {
      clearTimeout(timer)
    }
  }

  async #attempt<T>(question: Question<T>, key: string): Promise<Outcome<T>> {
    const { server, fetch } = this.#options
    const { method, body, waitMs = 0 } = question
    const url = urlOf(server, question)
    const headers = await this.#headers(question, key)
    let response: Response
    let text: string
    try {
      response = await fetch(url, {
        method,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        // Whoever answers elsewhere must not get the credential.
        redirect: 'manual',
        signal: AbortSignal.timeout(limitMs + waitMs),
      })
      text = await bodyOf(response)
    } catch (error) {
      return { type: 'failure', failure: unreachable(server, error), passing: true }
    }
    if (response.status >= 300 && response.status < 400) {
      return { type: 'failure', failure: elsewhere(server, response), passing: false }
    }
    const read = parsed(text)
    if (!response.ok) {
      const failure = failureOf(response.status, read)
      return { type: 'failure', failure, passing: passing.has(response.status) }
    }
    const checked = question.answer.safeParse(read)
    if (checked.success) return { type: 'answer', answer: checked.data }
    return { type: 'failure', failure: notUnderstood(server, checked.error), passing: false }
  }

  async #headers(
    { method, body }: Pick<Question<unknown>, 'method' | 'body'>,
    key: string,
  ): Promise<Record<string, string>> {
    const credential = await this.#options.credential()
    return {
      accept: 'application/json, application/problem+json',
      'user-agent': `pgwarden/${this.#options.version}`,
      ...(credential === undefined ? {} : { authorization: `Bearer ${credential.reveal()}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(method === 'POST' ? { 'idempotency-key': key } : {}),
    }
  }
}

type Outcome<T> =
  | { readonly type: 'answer'; readonly answer: T }
  | {
      readonly type: 'failure'
      readonly failure: Failure | ApiFailure
      /** Whether it may be otherwise in a moment. */
      readonly passing: boolean
    }

function urlOf(server: URL, { path, query = {} }: Pick<Question<unknown>, 'path' | 'query'>): URL {
  const url = new URL(`api/v1/${path.map(encodeURIComponent).join('/')}`, server)
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, String(value))
  }
  return url
}

async function bodyOf(response: Response): Promise<string> {
  const stream: AsyncIterable<unknown> | null = response.body
  if (stream === null) return ''
  const chunks: Uint8Array[] = []
  let bytes = 0
  // Leaving the loop early cancels the rest.
  for await (const chunk of stream) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('a body is made of bytes')
    bytes += chunk.byteLength
    if (bytes > limitBytes) throw new Error(`the answer is longer than ${limitBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function unreachable(server: URL, error: unknown): Failure {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const said = cause instanceof Error ? cause.message : String(cause)
  return new Failure(
    'cannot_connect_now',
    {
      message: `${server.origin} cannot be asked`,
      detail: said === '' ? code : said,
      hint: hintFor(code),
    },
    { cause: error },
  )
}

function hintFor(code: string): string {
  if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY/.test(code)) {
    return 'Its certificate is not trusted. Where it is of a CA of your own, name that in NODE_EXTRA_CA_CERTS.'
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return 'Look for a slip in the name of the server.'
  return 'Look whether it is running, and whether the URL is right.'
}

function elsewhere(server: URL, response: Response): Failure {
  const to = response.headers.get('location') ?? 'nowhere'
  return new Failure('cannot_connect_now', {
    message: `${server.origin} sends us elsewhere (${to}), which is not followed`,
    hint: 'Use the URL of the pgwarden itself.',
  })
}

function notUnderstood(server: URL, { issues }: z.ZodError): Failure {
  const [first] = issues
  return new Failure('protocol_violation', {
    message: `${server.origin} gave an answer that is not understood`,
    ...(first === undefined ? {} : { detail: `${first.path.join('.')}: ${first.message}` }),
    hint: 'Is it a pgwarden, and of a version that fits this one?',
  })
}
