// What a target's servers are, and on what terms one is logged in to. The configuration's targets have
// this shape. Ignorant of what is done with it.
// PostgreSQL documentation, libpq: sslmode, require_auth, channel_binding, target_session_attrs.

import type { Secret } from '../secret.ts'

/** As libpq's sslmode. */
export type TlsMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'

export interface TlsSettings {
  readonly mode: TlsMode
  /** PEM of the authorities that are trusted; the ones that Node trusts when absent. */
  readonly ca: string | undefined
  /** What the certificate must be for, and is asked for by SNI; the host when absent. */
  readonly serverName: string | undefined
  /** PEM: our own, for a server that asks for one. */
  readonly client: { readonly certificate: string; readonly key: Secret } | undefined
}

export interface Server {
  readonly host: string
  readonly port: number
  readonly tls: TlsSettings
}

/** As libpq's target_session_attrs. */
export type SessionAttributes =
  | 'any'
  | 'read-write'
  | 'read-only'
  | 'primary'
  | 'standby'
  | 'prefer-standby'

/** As libpq's require_auth: what a server may ask us for. `none` is not being asked at all. */
export type AuthMethod = 'scram-sha-256' | 'md5' | 'password' | 'none'

export interface AuthenticationTerms {
  readonly requireAuth: readonly AuthMethod[]
  /** As libpq's channel_binding. */
  readonly channelBinding: 'disable' | 'prefer' | 'require'
}

export interface UpstreamTarget extends AuthenticationTerms {
  /** In the order in which they are tried; at least one. */
  readonly servers: readonly Server[]
  readonly targetSessionAttrs: SessionAttributes
  /** For a whole login, all servers together. */
  readonly connectTimeoutMs: number
}
