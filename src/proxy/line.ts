// A client's connection until its session begins: whose it is, the socket on which it is spoken with, which
// TLS replaces, and whether words would be understood at all. Whoever ends it need not know how far it
// has come. Ignorant of packets.

import type { Socket } from 'node:net'
import { type Peer, peerOf } from './peer.ts'
import { endSocket } from './sockets.ts'

export class Line {
  readonly raw: Socket
  #socket: Socket
  #peer: Peer
  /** What a load balancer says before the client; while it has not, all that comes is its own. */
  #introductionBytes = 0
  /** `handshake`: the bytes are TLS's own. `deaf`: the peer would not know what a message is. */
  #state: 'spoken' | 'handshake' | 'deaf' = 'spoken'

  constructor(raw: Socket) {
    this.raw = raw
    this.#socket = raw
    this.#peer = peerOf(raw)
    // Until the relay takes over, an error on the socket only means that the peer is gone.
    raw.on('error', () => raw.destroy())
  }

  /** The raw socket, or the TLS one on top of it. */
  get socket(): Socket {
    return this.#socket
  }

  /** Whoever is connected, until a load balancer has said whom that stands for. */
  get peer(): Peer {
    return this.#peer
  }

  /** The client itself has said nothing so far. */
  get silent(): boolean {
    return this.raw.bytesRead <= this.#introductionBytes
  }

  /** A load balancer must say first whose connection it is; it would not know what a message is. */
  introductionAwaited(): void {
    this.#introductionBytes = Number.POSITIVE_INFINITY
    this.#state = 'deaf'
  }

  /** It has said in so many bytes whose connection it is: what follows is the client's. */
  introduced(bytes: number, peer: Peer): void {
    this.#peer = peer
    this.#introductionBytes = bytes
    this.#state = 'spoken'
  }

  handshakeBegins(): void {
    this.#state = 'handshake'
  }

  secured(socket: Socket): void {
    socket.on('error', () => socket.destroy())
    this.#socket = socket
    this.#state = 'spoken'
  }

  /** What is on the other side does not speak our protocol, or has not shown that it does. */
  deafened(): void {
    this.#state = 'deaf'
  }

  /**
   * Ends the connection at once. Through TLS where there is any: taking the raw socket away from under
   * it has been seen to crash Node 20.
   */
  destroy(): void {
    this.#socket.destroy()
  }

  /** Says `farewell` where it would be understood, and ends the connection. */
  end(farewell?: Buffer): void {
    if (this.#state === 'handshake') this.raw.destroy()
    else endSocket(this.#socket, this.#state === 'deaf' ? undefined : farewell)
  }
}
