// The way from a pgwarden to its store, which can be cut and mended: nobody is heard while it is cut.

import net from 'node:net'
import { type Forwarder, join, listenWith } from './forwarder.ts'

export class StoreLine {
  readonly #forwarder: Forwarder
  readonly #open = new Set<net.Socket>()
  #isCut = false

  private constructor(forwarder: Forwarder) {
    this.#forwarder = forwarder
  }

  static async start(adminUrl: string): Promise<StoreLine> {
    const { hostname, port } = new URL(adminUrl)
    const forwarder = await listenWith((client) => {
      if (line.#isCut) {
        client.destroy()
        return
      }
      line.#open.add(client)
      client.on('close', () => line.#open.delete(client))
      join(client, net.connect({ host: hostname, port: Number(port || 5432) }))
    })
    const line = new StoreLine(forwarder)
    return line
  }

  get port(): number {
    return this.#forwarder.port
  }

  cut(): void {
    this.#isCut = true
    for (const client of this.#open) client.destroy()
  }

  mend(): void {
    this.#isCut = false
  }

  stop(): Promise<void> {
    return this.#forwarder.close()
  }
}
