// Where clients of the proxy are best sent: what a listener advertises, or the address it is bound to.
// Ignorant of who asks.

import type { Config } from './config.ts'

export interface ReachableProxy {
  readonly host: string
  readonly port: number
  readonly sslmode: 'disable' | 'require'
}

/** A listener with TLS, where there is one. */
export function reachableProxy({
  listen: [first, ...more],
}: Pick<Config, 'listen'>): ReachableProxy {
  const best =
    first.tls === undefined ? (more.find(({ tls }) => tls !== undefined) ?? first) : first
  const { address, port, advertise, tls } = best
  return {
    host: advertise?.host ?? onThisMachine(address),
    port: advertise?.port ?? port,
    sslmode: tls === undefined ? 'disable' : 'require',
  }
}

/** Where a client on this machine finds a listener that is bound to every address. */
function onThisMachine(address: string): string {
  if (address === '0.0.0.0') return '127.0.0.1'
  return address === '::' ? '::1' : address
}
