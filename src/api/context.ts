// What the parts of the API hand each other along a request, and what they are made of. Ignorant of routes.

import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Context, MiddlewareHandler } from 'hono'
import type { Connection } from '../access/connection-lines.ts'
import type { Desk } from '../access/desk.ts'
import type { Identity } from '../access/identity.ts'
import type { RevocationProgress } from '../access/revocation.ts'
import type { AccessRules } from '../access/rules.ts'
import type { Clock } from '../clock.ts'
import type {
  ApiObserver,
  AuditReader,
  Authenticator,
  IdempotencyKeys,
  LockOuts,
  RecordAudit,
  Reload,
  SessionsDesk,
} from './ports.ts'

export interface ApiEnv {
  readonly Variables: {
    /** Set by authentication. */
    identity?: Identity
    /** Whether the answer holds a secret. */
    secret?: boolean
  }
}

export type Api = OpenAPIHono<ApiEnv>
export type ApiContext = Context<ApiEnv>
export type ApiMiddleware = MiddlewareHandler<ApiEnv>

export interface ControlPlane {
  readonly desk: Desk
  readonly authenticator: Authenticator
  readonly sessions: SessionsDesk
  readonly progress: RevocationProgress
  readonly lockOuts: LockOuts
  readonly reload: Reload
  readonly audit: AuditReader
  readonly record: RecordAudit
  /** The same without waiting: of what has been done already. */
  readonly note: (fields: string) => void
  readonly keys: IdempotencyKeys
  readonly rules: Pick<AccessRules, 'administrators' | 'auditors'>
  /** Where clients of the proxy are sent. */
  readonly proxy: Pick<Connection, 'host' | 'port' | 'sslmode'>
  /** What `pgwarden login` needs to know. */
  readonly login: {
    readonly issuer: string | undefined
    readonly clientId: string | undefined
    readonly scopes: readonly string[] | undefined
  }
  readonly peers: Peers
  readonly limits?: Partial<ApiLimits>
  readonly clock: Clock
  readonly version: string
  readonly observer: ApiObserver
  /** Ends what would go on for ever, when the process stops. */
  readonly stopping: AbortSignal
}

/** What addresses are, to those who know. */
interface Peers {
  /** Whether calls from there may come without TLS. */
  mayComePlain(address: string): boolean
  /** What an address is counted under. */
  networkOf(address: string): string
}

export interface ApiLimits {
  readonly requestsPerMinute: number
  readonly failedAuthenticationsPerMinute: number
  readonly bodyBytes: number
  /** For one request, without what it may wait for. */
  readonly requestMs: number
  readonly streams: number
  readonly streamsOfOne: number
  readonly heartbeatMs: number
  /** Between two looks at whether the credential of an open stream is still good. */
  readonly recheckMs: number
  /** How long a stream may be behind. */
  readonly slowReaderMs: number
}

export const defaultLimits: ApiLimits = {
  requestsPerMinute: 600,
  failedAuthenticationsPerMinute: 30,
  bodyBytes: 64 * 1024,
  requestMs: 15_000,
  streams: 64,
  streamsOfOne: 4,
  heartbeatMs: 15_000,
  recheckMs: 10_000,
  slowReaderMs: 30_000,
}

/** Who calls. A route that authentication does not stand before has nobody, and must not ask. */
export function callerOf(c: ApiContext): Identity {
  const identity = c.get('identity')
  if (identity === undefined) throw new Error('a route asked who calls before authentication')
  return identity
}
