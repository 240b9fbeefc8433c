// One question to one server of Vault, through node-vault: it composes address, version, namespace and
// token and reads the status, on a transport of ours. What it would take from the environment, print,
// follow or trust by itself is closed here; ADR 0012 has the list. Ignorant of what is asked and when.

import nodeVault from 'node-vault'
import { Secret } from '../../secret.ts'
import { problemOf, VaultProblem } from './problem.ts'
import type { Transport } from './transport.ts'

export interface Question {
  readonly method: 'GET' | 'POST'
  /** Without /v1/. */
  readonly path: string
  readonly body?: object
  /** Nothing is sent in its place without. */
  readonly token?: Secret
  readonly signal?: AbortSignal | undefined
}

interface Limits {
  readonly connectMs: number
  readonly timeoutMs: number
}

export interface Answer {
  /** {} where there is none. */
  readonly data: Readonly<Record<string, unknown>>
  readonly leaseId: string
  readonly leaseMs: number
  readonly renewable: boolean
  /** A token, where it was asked for one or for its renewal. */
  readonly auth: Auth | undefined
}

export interface Auth {
  /** An answer to a renewal may leave it out. */
  readonly token: Secret | undefined
  /** 0: it never ends. */
  readonly leaseMs: number
  readonly renewable: boolean
}

/** Asks whichever server answers. @throws VaultProblem, or the reason of the signal. */
export type Ask = (question: Question) => Promise<Answer>

/** Asks one of them, once. @throws VaultProblem, or the reason of the signal. */
export type AskServer = (question: Question, limits: Limits) => Promise<Answer>

/** What node-vault hands to its HTTP client; `ours` is what came with the question. */
interface Composed {
  readonly method: string
  readonly uri: string
  readonly headers: Readonly<Record<string, string>>
  readonly json?: unknown
  readonly ours: Limits & { readonly signal: AbortSignal | undefined }
}

/** `address`: scheme, host and port. */
export function vaultServer(
  address: string,
  namespace: string | undefined,
  transport: Transport,
): AskServer {
  const client = nodeVault({
    endpoint: address,
    // Its own prints what is sent and answered wherever DEBUG says so.
    debug: () => undefined,
    'request-promise': { defaults: () => (composed: Composed) => carry(composed, transport) },
  })
  // Whatever is empty was filled from VAULT_TOKEN, VAULT_NAMESPACE and VAULT_PREFIX.
  Object.assign(client, { token: '', namespace: namespace ?? '', pathPrefix: '' })

  return async ({ method, path, body, token, signal }, limits) => {
    // Made for this question alone: node-vault writes into both.
    const options = {
      ours: { ...limits, signal },
      headers: {
        // Proxies that add tokens (Vault Agent) may demand it: no web page can make a browser send it.
        'X-Vault-Request': 'true',
        ...(token === undefined ? {} : { 'X-Vault-Token': token.reveal() }),
      },
    }
    const encoded = encodedPath(path)
    const answer: unknown = await (method === 'GET'
      ? client.read(encoded, options)
      : client.write(encoded, body ?? {}, options))
    return answerOf(answer, `${method} ${address}/v1/${path}`)
  }
}

/** In the form in which node-vault wants its answers. */
async function carry(
  { method, uri, headers, json, ours }: Composed,
  transport: Transport,
): Promise<object> {
  const body = typeof json === 'object' ? JSON.stringify(json) : undefined
  const {
    status,
    retryAfter,
    body: text,
  } = await transport.send({
    method,
    url: new URL(uri),
    headers: {
      Accept: 'application/json',
      ...(body === undefined
        ? {}
        : {
            'Content-Type': 'application/json',
            'Content-Length': String(Buffer.byteLength(body)),
          }),
      ...headers,
    },
    body,
    ...ours,
  })
  const where = `${method} ${uri}`
  // node-vault tells its caller a status without headers, and takes every failure under a path that
  // contains sys/health for a success: it never gets to see one.
  if (status < 200 || status > 299) throw problemOf(where, status, text, retryAfter)
  // To it 202, with which Vault answers what it does later, is an error.
  return { statusCode: 200, body: parsed(text, where), request: { path: '' } }
}

function parsed(text: string, where: string): unknown {
  if (text === '') return {}
  try {
    return JSON.parse(text)
  } catch {
    throw unreadable(where, 'no JSON')
  }
}

/**
 * Encoded segment by segment, so that no name becomes syntax. Segments that a URL would swallow lead
 * out of the mount that was meant.
 */
function encodedPath(path: string): string {
  const segments = path.split('/')
  if (segments.some((segment) => /^[.]{0,2}$/.test(segment))) {
    throw new VaultProblem('invalid', `"${path}" is no path of Vault`)
  }
  return segments.map(encodeURIComponent).join('/')
}

function answerOf(answer: unknown, where: string): Answer {
  if (!isRecord(answer)) {
    throw unreadable(where, 'no object')
  }
  const { data, lease_id, lease_duration, renewable, auth } = answer
  return {
    data: isRecord(data) ? data : {},
    leaseId: typeof lease_id === 'string' ? lease_id : '',
    leaseMs: milliseconds(lease_duration),
    renewable: renewable === true,
    auth: isRecord(auth) ? authOf(auth) : undefined,
  }
}

/** A success all the same: asked again, it might be a second lease. */
function unreadable(where: string, what: string): VaultProblem {
  const message = `${where}: the answer is ${what}; is this a Vault?`
  return new VaultProblem('failing', message, { unanswered: true })
}

function authOf({ client_token, lease_duration, renewable }: Record<string, unknown>): Auth {
  return {
    token:
      typeof client_token === 'string' && client_token !== ''
        ? new Secret(client_token)
        : undefined,
    leaseMs: milliseconds(lease_duration),
    renewable: renewable === true,
  }
}

export function milliseconds(seconds: unknown): number {
  return typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : 0
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
