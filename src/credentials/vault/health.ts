// What one server of Vault says of itself to anybody who asks, and which certificate it shows. Asks with
// no token, and in no namespace: a sealed server has neither. Ignorant of what Vault is used for.
// Vault's documentation: /sys/health.

import { isIP } from 'node:net'
import tls from 'node:tls'
import { VaultProblem } from './problem.ts'
import { openTransport, tlsOptions, type VaultTls } from './transport.ts'

export interface VaultHealth {
  readonly state: 'active' | 'standby' | 'sealed' | 'uninitialized'
  readonly version: string
  /** DER, where there is TLS. */
  readonly certificate: Buffer | undefined
}

const limitMs = 5_000

/** `address`: scheme, host and port. @throws VaultProblem, or Failure for certificates of ours. */
export async function healthOf(
  address: string,
  settings: VaultTls,
  signal: AbortSignal,
): Promise<VaultHealth> {
  const url = new URL('/v1/sys/health', address)
  const transport = openTransport(settings)
  try {
    const request = { method: 'GET', headers: {}, body: undefined, signal }
    const limits = { connectMs: limitMs, timeoutMs: limitMs }
    const { status, body } = await transport.send({ ...request, ...limits, url })
    const certificate =
      url.protocol === 'https:' ? await certificateOf(url, settings, signal) : undefined
    return { state: stateOf(url, status), version: versionIn(body), certificate }
  } finally {
    transport.close()
  }
}

/** The status alone tells: the answer's body differs between releases. */
function stateOf(url: URL, status: number): VaultHealth['state'] {
  switch (status) {
    case 200:
      return 'active'
    // A standby; those of a performance or disaster recovery replication.
    case 429:
    case 472:
    case 473:
      return 'standby'
    case 501:
      return 'uninitialized'
    case 503:
      return 'sealed'
    default:
      throw new VaultProblem('failing', `GET ${url.href}: status ${status}; is this Vault?`)
  }
}

function versionIn(body: string): string {
  return /"version":\s*"([\w.+-]{1,40})"/.exec(body)?.[1] ?? 'unknown'
}

/** On a connection of its own, which has been verified a moment ago in the same way. */
function certificateOf(
  { hostname, port }: URL,
  settings: VaultTls,
  signal: AbortSignal,
): Promise<Buffer> {
  // Brackets are of the URL, not of the address.
  const host = hostname.replace(/^\[|\]$/g, '')
  return new Promise((resolve, reject) => {
    const servername = isIP(host) === 0 ? host : ''
    const place = { host, port: Number(port || 443), servername }
    const socket = tls.connect({ ...place, ...tlsOptions(settings) })
    const fail = (error: unknown): void => {
      socket.destroy()
      reject(error)
    }
    socket.setTimeout(limitMs, () => fail(new Error(`no TLS within ${limitMs} ms`)))
    socket.on('error', fail)
    signal.addEventListener('abort', () => fail(signal.reason), { once: true })
    socket.on('secureConnect', () => {
      const { raw } = socket.getPeerCertificate()
      socket.destroy()
      resolve(raw)
    })
  })
}
