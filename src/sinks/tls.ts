// TLS towards a sink, the same for every kind: no environment variable can weaken it. Ignorant of what is
// said inside.

import type { TlsSettings } from '../audit/sink-settings.ts'

interface SinkTlsOptions {
  readonly minVersion: 'TLSv1.2'
  readonly rejectUnauthorized: true
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** Fits tls.connect and the clients that hand their options on to it. */
export function tlsOptions({ ca, client }: TlsSettings): SinkTlsOptions {
  return {
    minVersion: 'TLSv1.2',
    // Said, because NODE_TLS_REJECT_UNAUTHORIZED=0 is the default of whoever does not.
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
    ...(client === undefined ? {} : { cert: client.certificate, key: client.key.reveal() }),
  }
}
