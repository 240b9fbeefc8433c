// Somebody on the way between pgwarden and a server: passes connections on, and may look at them,
// change them or open them up.

import { once } from 'node:events'
import net from 'node:net'

export interface Forwarder {
  readonly port: number
  close(): Promise<void>
}

/** Calls `handle` with every connection; all of them end with the forwarder. */
export async function listenWith(
  handle: (client: net.Socket) => void,
  options: net.ServerOpts = {},
): Promise<Forwarder> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer(options, (client) => {
    sockets.add(client)
    client.on('error', () => client.destroy())
    client.on('close', () => sockets.delete(client))
    handle(client)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
  return {
    port: address.port,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Both ways, and each end ends the other. */
export function join(client: net.Socket, server: net.Socket): void {
  client.on('error', () => server.destroy()).on('close', () => server.destroy())
  server.on('error', () => client.destroy()).on('close', () => client.destroy())
  client.pipe(server).pipe(client)
}
