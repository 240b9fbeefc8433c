// TLS towards sinks: whom to believe, and what to show. Ignorant of who is at the other end.

import type { Secret } from '../secret.ts'

/** PEM. */
export interface TlsSettings {
  /** The authorities that Node trusts when absent. */
  readonly ca: string | undefined
  readonly client: { readonly certificate: string; readonly key: Secret } | undefined
}

/** For whatever takes options of node:tls. */
export interface TlsOptions {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly minVersion: 'TLSv1.2'
  readonly rejectUnauthorized: true
}

/** A server's certificate is always checked: NODE_TLS_REJECT_UNAUTHORIZED decides only for who does not say. */
export function tlsOptions({ ca, client }: TlsSettings): TlsOptions {
  return {
    ...(ca !== undefined && { ca }),
    ...(client && { cert: client.certificate, key: client.key.reveal() }),
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
  }
}
