// The servers of a target: where they are, and what TLS is demanded of each. Here is decided what holds
// where nothing is written: TLS with a verified certificate, except on this machine itself.

import { isLoopback } from '../loopback.ts'
import type { Secret } from '../secret.ts'
import type { Problem } from './problems.ts'
import type { RawConfig } from './schema.ts'

export type RawTarget = RawConfig['targets'][string]
type RawTls = NonNullable<RawTarget['tls']>

export interface ServerConfig {
  readonly host: string
  readonly port: number
  readonly tls: {
    readonly mode: RawTls['mode']
    /** PEM; the authorities that Node trusts when absent. */
    readonly ca: string | undefined
    /** The host when absent. */
    readonly serverName: string | undefined
    readonly client: { readonly certificate: string; readonly key: Secret } | undefined
  }
}

export function serversOf({ host, hosts, port, tls }: RawTarget): readonly ServerConfig[] {
  const written = hosts ?? (host === undefined ? [] : [{ host, port }])
  return written.map((server) => ({
    host: server.host,
    port: server.port ?? port,
    tls: tlsOf(tls, server.host),
  }))
}

/** What is right by itself and wrong beside the rest of the target. */
export function serverProblems(at: Problem['path'], target: RawTarget): Problem[] {
  const { tls, channelBinding, requireAuth } = target
  const problems: Problem[] = []
  const problem = (key: readonly string[], message: string): void => {
    problems.push({ path: [...at, ...key], message })
  }
  // An authority that is never asked is a check that somebody believes in.
  if (tls?.ca !== undefined && tls.mode !== 'verify-ca' && tls.mode !== 'verify-full') {
    problem(['tls', 'ca'], `is not looked at in mode ${tls.mode}; use verify-ca or verify-full`)
  }
  if (tls?.serverName !== undefined && tls.mode === 'disable') {
    problem(['tls', 'serverName'], 'there is no TLS in mode disable')
  }
  if ((tls?.certificate === undefined) !== (tls?.key === undefined)) {
    problem(['tls'], 'certificate and key belong together')
  }
  if (channelBinding === 'require') {
    if (serversOf(target).some((server) => server.tls.mode === 'disable')) {
      problem(['channelBinding'], 'there is nothing to bind to without TLS')
    }
    if (!requireAuth.includes('scram-sha-256')) {
      problem(['channelBinding'], 'only scram-sha-256 can be bound, and requireAuth leaves it out')
    }
  }
  return problems
}

function tlsOf(tls: RawTls | undefined, host: string): ServerConfig['tls'] {
  const { mode, ca, serverName, certificate, key } = tls ?? {}
  return {
    mode: mode ?? (isLoopback(host) ? 'disable' : 'verify-full'),
    ca,
    serverName,
    client: certificate === undefined || key === undefined ? undefined : { certificate, key },
  }
}
