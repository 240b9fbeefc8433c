// A syslog server that takes nothing but what RFC 5425 and RFC 5424 allow: octet counting, whole messages, every
// field of the header. What is anything else it remembers as a complaint.

import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createSecureServer } from 'node:tls'
import type { Pair } from './certificates.ts'

export interface SyslogMessage {
  readonly priority: number
  readonly time: string
  readonly host: string
  readonly app: string
  readonly process: string
  readonly id: string
  readonly data: string
  /** Without its byte order mark. */
  readonly text: string
}

const header =
  /^<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) (-|(?:\[[!-~]{1,32}(?: [!-~]{1,32}="(?:[^"\\\]]|\\.)*")*\])+) \ufeff/

export interface SyslogTerms {
  readonly tls?: Pair
  /** Demands a certificate of clients from this authority. */
  readonly clientAuthority?: string
  readonly port?: number
}

export class StrictSyslog {
  readonly received: SyslogMessage[] = []
  readonly complaints: string[] = []
  readonly port: number
  readonly #server: Server
  readonly #sockets: Set<Socket>
  /** Connections that there were. */
  connections = 0

  private constructor(server: Server, sockets: Set<Socket>, port: number) {
    this.#server = server
    this.#sockets = sockets
    this.port = port
  }

  static async start({ tls, clientAuthority, port = 0 }: SyslogTerms = {}): Promise<StrictSyslog> {
    const server =
      tls === undefined
        ? createServer()
        : createSecureServer({
            cert: tls.certificate,
            key: tls.key,
            ...(clientAuthority === undefined
              ? {}
              : { ca: clientAuthority, requestCert: true, rejectUnauthorized: true }),
          })
    const sockets = new Set<Socket>()
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('not listening')
    const syslog = new StrictSyslog(server, sockets, address.port)
    server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
      sockets.add(socket)
      syslog.#take(socket)
    })
    return syslog
  }

  /** Breaks off every connection in the middle; further ones are taken again. */
  breakOff(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#sockets.clear()
  }

  async stop(): Promise<void> {
    this.breakOff()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #take(socket: Socket): void {
    this.connections += 1
    let rest = Buffer.alloc(0)
    socket.on('error', () => undefined)
    socket.on('data', (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes])
      for (;;) {
        const space = rest.indexOf(' ')
        if (space < 0) return
        const count = rest.toString('latin1', 0, space)
        if (!/^[1-9]\d{0,7}$/.test(count)) {
          this.complaints.push(`no message length: ${JSON.stringify(count.slice(0, 40))}`)
          socket.destroy()
          return
        }
        const end = space + 1 + Number(count)
        if (rest.length < end) return
        this.#message(rest.subarray(space + 1, end))
        rest = rest.subarray(end)
      }
    })
  }

  #message(bytes: Buffer): void {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    const [head, priority, time, host, app, process, id, data] = header.exec(text) ?? []
    if (head === undefined) {
      this.complaints.push(`no RFC 5424 header: ${text.slice(0, 120)}`)
      return
    }
    this.received.push({
      priority: Number(priority),
      time: String(time),
      host: String(host),
      app: String(app),
      process: String(process),
      id: String(id),
      data: String(data),
      text: text.slice(head.length),
    })
  }
}
