// Sessions on a server as pgwarden itself opens them, without pgwarden around.

import type { Socket } from 'node:net'
import { systemClock } from '../../src/clock.ts'
import { Secret } from '../../src/secret.ts'
import { Connector } from '../../src/upstream/connector.ts'
import type { Server, TlsSettings, UpstreamTarget } from '../../src/upstream/target.ts'

const noTls: TlsSettings = {
  mode: 'disable',
  ca: undefined,
  serverName: undefined,
  client: undefined,
}

export function serverAt(port: number, tls: Partial<TlsSettings> = {}, host = '127.0.0.1'): Server {
  return { host, port, tls: { ...noTls, ...tls } }
}

/** A connector with these servers as the target `shop`, on a configuration's terms but for `more`. */
export function connectorTo(
  servers: readonly Server[],
  more: Partial<UpstreamTarget> = {},
): Connector {
  const target: UpstreamTarget = {
    servers,
    targetSessionAttrs: 'any',
    connectTimeoutMs: 10_000,
    requireAuth: ['scram-sha-256', 'md5', 'none'],
    channelBinding: 'prefer',
    ...more,
  }
  return new Connector(new Map([['shop', target]]), systemClock)
}

/** A socket logged in as the URL says. */
export async function sessionAt(
  url: string,
  database: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<Socket> {
  const { hostname, port, username, password } = new URL(url)
  const { socket } = await connectorTo([serverAt(Number(port || 5432), {}, hostname)]).connect({
    target: 'shop',
    parameters: new Map([
      ['user', decodeURIComponent(username)],
      ['database', database],
      ['client_encoding', 'UTF8'],
      ...Object.entries(settings),
    ]),
    password: new Secret(decodeURIComponent(password)),
  })
  return socket
}
