// Ports of this machine's loopback.

import { once } from 'node:events'
import { createServer } from 'node:net'

/** One that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const occupied = await occupyPort()
  await occupied.release()
  return occupied.port
}

/** Two different ones: a port that was released can be had again at once. */
export async function freePorts(): Promise<[number, number]> {
  const occupied = [await occupyPort(), await occupyPort()] as const
  for (const { release } of occupied) await release()
  return [occupied[0].port, occupied[1].port]
}

/** One that somebody listens on until it is released. */
export async function occupyPort(): Promise<{
  readonly port: number
  release(): Promise<void>
}> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
  return {
    port: address.port,
    release: async () => {
      server.close()
      await once(server, 'close')
    },
  }
}
