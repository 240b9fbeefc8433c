// A Vault client without sockets: its transport hands every request to a fake Vault's state, or to what a
// test puts in its place. Everything that the client tells its observer is kept.

import type { Clock } from '../../src/clock.ts'
import { VaultProblem } from '../../src/credentials/vault/problem.ts'
import type { HttpReply, HttpRequest } from '../../src/credentials/vault/transport.ts'
import { VaultClient, type VaultSettings } from '../../src/credentials/vault/vault.ts'
import { Secret } from '../../src/secret.ts'
import { FakeVaultState } from './fake-vault-state.ts'

/** The clock of vitest's fake timers, too. */
export const testClock: Clock = { now: () => Date.now(), elapsed: () => performance.now() }

interface Told {
  readonly asked: string[]
  readonly breaker: boolean[]
  readonly tokenEnds: (number | undefined)[]
  readonly problems: unknown[]
}

type Trouble = (request: HttpRequest) => HttpReply | Promise<HttpReply> | Error | undefined

export interface VaultInMemory {
  readonly vault: VaultClient
  readonly state: FakeVaultState
  readonly requests: HttpRequest[]
  readonly told: Told
  /** What requests meet in the place of the fake Vault; undefined: the fake Vault answers. */
  meet(trouble: Trouble | undefined): void
  /** Paths that were asked, in order. */
  paths(): string[]
}

export function vaultInMemory(
  settings: Partial<VaultSettings> | ((state: FakeVaultState) => Partial<VaultSettings>) = {},
): VaultInMemory {
  const state = new FakeVaultState()
  const requests: HttpRequest[] = []
  const told: Told = { asked: [], breaker: [], tokenEnds: [], problems: [] }
  let trouble: Trouble | undefined
  const special = typeof settings === 'function' ? settings(state) : settings
  const vault = new VaultClient(
    {
      addresses: ['https://vault.test:8200'],
      namespace: undefined,
      tls: { ca: undefined, serverName: undefined, client: undefined },
      auth: special.auth ?? { method: 'token', token: new Secret(state.newToken()) },
      timeoutMs: 5_000,
      waitForMs: 5_000,
      ...special,
    },
    {
      clock: testClock,
      random: () => 0.5,
      observer: {
        asked: (result) => told.asked.push(result),
        breaker: (isOpen) => told.breaker.push(isOpen),
        tokenEnds: (at) => told.tokenEnds.push(at),
        problem: (error) => told.problems.push(error),
      },
    },
    {
      close: () => undefined,
      send: async (request) => {
        requests.push(request)
        const met = trouble?.(request)
        if (met instanceof Error) throw met
        return met ?? (await answered(state, request))
      },
    },
  )
  return {
    vault,
    state,
    requests,
    told,
    meet: (next) => {
      trouble = next
    },
    paths: () => requests.map(({ url }) => url.pathname.replace('/v1/', '')),
  }
}

async function answered(state: FakeVaultState, request: HttpRequest): Promise<HttpReply> {
  const body: unknown = JSON.parse(request.body ?? '{}')
  const answer = await state.answer({
    method: request.method,
    path: decodeURIComponent(request.url.pathname.replace('/v1/', '')),
    token: request.headers['X-Vault-Token'],
    body: typeof body === 'object' && body !== null ? { ...body } : {},
  })
  const text = answer.body === undefined ? '' : JSON.stringify(answer.body)
  return { status: answer.status, retryAfter: undefined, body: text }
}

export function status(code: number, ...errors: readonly string[]): HttpReply {
  return { status: code, retryAfter: undefined, body: JSON.stringify({ errors }) }
}

export function refusedConnection(): VaultProblem {
  return new VaultProblem('unreachable', 'connect ECONNREFUSED')
}

/** How a problem ends a promise, or undefined where none does. */
export async function problemFrom(promise: Promise<unknown>): Promise<VaultProblem | undefined> {
  try {
    await promise
    return undefined
  } catch (error) {
    if (error instanceof VaultProblem) return error
    throw error
  }
}
