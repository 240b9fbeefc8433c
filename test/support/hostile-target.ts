// Stands in front of a real server as a target that does not play by the rules: it lets the real one do
// the login, so that every proof in it is right, and spoils what it says; or it takes over when the
// session begins. The proxy's own administrative logins go through untouched.

import net, { type Socket } from 'node:net'
import { backend } from '../../src/wire/backend.ts'
import { encodeSslRequest } from '../../src/wire/startup.ts'
import { type Forwarder, listenWith } from './forwarder.ts'
import { ToyServer } from './toy-server.ts'

/** What it does to the sessions that are opened now. */
export type Mischief =
  | { readonly type: 'none' }
  /** Changes the frames of the login. */
  | { readonly type: 'login'; readonly spoil: Spoil }
  /** Changes the frames of the session, which a toy server answers with. */
  | { readonly type: 'session'; readonly spoil: Spoil }

type Spoil = (frames: readonly Buffer[]) => readonly Buffer[]

const encryptionRequestBytes = encodeSslRequest().length
const startupRequest = 0x00030000

export class HostileTarget {
  mischief: Mischief = { type: 'none' }
  /** Frames that it has said itself. */
  frames = 0
  readonly #forwarder: Forwarder
  readonly #realPort: number
  readonly #administrator: string

  private constructor(forwarder: Forwarder, realPort: number, administrator: string) {
    this.#forwarder = forwarder
    this.#realPort = realPort
    this.#administrator = administrator
  }

  static async start(adminUrl: string): Promise<HostileTarget> {
    const { port, username } = new URL(adminUrl)
    const forwarder = await listenWith((proxy) => target.#accept(proxy), { noDelay: true })
    const administrator = decodeURIComponent(username)
    const target = new HostileTarget(forwarder, Number(port || 5432), administrator)
    return target
  }

  get port(): number {
    return this.#forwarder.port
  }

  stop(): Promise<void> {
    return this.#forwarder.close()
  }

  #accept(proxy: Socket): void {
    proxy.once('data', (packet: Buffer) => {
      if (packet.length === encryptionRequestBytes) {
        proxy.write('N')
        proxy.once('data', (startup: Buffer) => this.#begin(proxy, startup))
      } else this.#begin(proxy, packet)
    })
  }

  /** Packets before the login come whole: the proxy writes each at once, and waits. */
  #begin(proxy: Socket, startup: Buffer): void {
    const { mischief } = this
    const real = net.connect({ host: '127.0.0.1', port: this.#realPort, noDelay: true })
    real.on('error', () => real.destroy())
    real.write(startup)
    proxy.on('close', () => real.destroy())
    real.on('close', () => proxy.destroySoon())
    const ours = startup.includes(`user\0${this.#administrator}\0`)
    if (mischief.type === 'none' || ours || startup.readInt32BE(4) !== startupRequest) {
      proxy.pipe(real)
      real.pipe(proxy)
      return
    }
    this.#logIn(proxy, real, mischief)
  }

  /** Up to ReadyForQuery, by frames. */
  #logIn(proxy: Socket, real: Socket, { type, spoil }: Exclude<Mischief, { type: 'none' }>): void {
    let held: Buffer = Buffer.alloc(0)
    proxy.on('data', (chunk: Buffer) => real.write(chunk))
    real.on('data', (chunk: Buffer) => {
      const { frames, rest } = cut(Buffer.concat([held, chunk]))
      held = rest
      const said = type === 'login' ? spoil(frames) : frames
      if (type === 'login') this.frames += said.length
      proxy.write(Buffer.concat(said))
      if (!frames.some((frame) => frame[0] === backend.readyForQuery)) return
      proxy.removeAllListeners('data')
      real.removeAllListeners('data')
      if (type === 'session') this.#takeOver(proxy, real, spoil)
      else {
        proxy.pipe(real)
        real.pipe(proxy)
      }
    })
  }

  #takeOver(proxy: Socket, real: Socket, spoil: Spoil): void {
    real.removeAllListeners('close')
    real.destroy()
    const toy = new ToyServer()
    proxy.on('data', (chunk: Buffer) => {
      const frames = spoil(toy.push(chunk))
      this.frames += frames.length
      if (frames.length > 0 && proxy.writable) proxy.write(Buffer.concat(frames))
      if (toy.terminated) proxy.end()
    })
  }
}

/** The whole frames at the start of the bytes. */
function cut(bytes: Buffer): { readonly frames: readonly Buffer[]; readonly rest: Buffer } {
  const frames: Buffer[] = []
  let at = 0
  while (bytes.length - at >= 5) {
    const end = at + 1 + bytes.readInt32BE(at + 1)
    if (end > bytes.length) break
    frames.push(bytes.subarray(at, end))
    at = end
  }
  return { frames, rest: bytes.subarray(at) }
}
