// Proves to a server who we are, on our terms: what it may ask for is decided here, not by it, and it
// has to prove itself where the method lets it. Ignorant of sockets and of what comes after.
// PostgreSQL documentation, "Message Flow: Start-up"; libpq, require_auth and channel_binding.

import { createHash } from 'node:crypto'
import type { Secret } from '../secret.ts'
import type { BackendMessage } from '../wire/backend.ts'
import { encodeFrontend } from '../wire/frontend.ts'
import { type ChannelBinding, type KeySource, ScramClient } from '../wire/scram-client.ts'
import { MessageWriter } from '../wire/writer.ts'
import { ServerProblem } from './problem.ts'
import type { AuthenticationTerms, AuthMethod } from './target.ts'
import type { Encryption } from './tls.ts'

const scram = 'SCRAM-SHA-256'
const scramPlus = 'SCRAM-SHA-256-PLUS'

export interface Identity {
  readonly user: string
  readonly password: Secret
}

/** How the server is reached, as far as it matters to what may be sent. */
export interface Surroundings {
  readonly encryption: Encryption
  readonly endPoint: Buffer | undefined
  /** Nobody listens between two ends of one machine. */
  readonly loopback: boolean
}

type Stage =
  /** Nothing has been asked. */
  | { readonly at: 'start' }
  | { readonly at: 'first-sent' | 'final-sent'; readonly client: ScramClient }
  /** The method has come to its end; the server's word is awaited. */
  | { readonly at: 'answered' }
  | { readonly at: 'over' }

export class Authentication {
  readonly #terms: AuthenticationTerms
  readonly #identity: Identity
  readonly #around: Surroundings
  readonly #keys: KeySource
  #stage: Stage = { at: 'start' }

  constructor(
    terms: AuthenticationTerms,
    identity: Identity,
    around: Surroundings,
    keys: KeySource,
  ) {
    this.#terms = terms
    this.#identity = identity
    this.#around = around
    this.#keys = keys
  }

  /** The server has let us in, and everything was as it must be. */
  get over(): boolean {
    return this.#stage.at === 'over'
  }

  /** What to send in answer to an authentication message, if anything. Throws a ServerProblem. */
  async answer(message: BackendMessage): Promise<Buffer | undefined> {
    const stage = this.#stage
    if (stage.at === 'first-sent' && message.type === 'authenticationSASLContinue') {
      const final = await stage.client.final(message.data)
      this.#stage = { at: 'final-sent', client: stage.client }
      return passwordMessage(final)
    }
    if (stage.at === 'final-sent' && message.type === 'authenticationSASLFinal') {
      stage.client.verify(message.data)
      this.#stage = { at: 'answered' }
      return undefined
    }
    if (stage.at === 'answered' && message.type === 'authenticationOk') {
      this.#stage = { at: 'over' }
      return undefined
    }
    // Anything else in the middle of a method, the server's Ok before its proof above all.
    if (stage.at !== 'start') throw unacceptable(`sent ${message.type} out of order`)
    return this.#begin(message)
  }

  #begin(message: BackendMessage): Buffer | undefined {
    switch (message.type) {
      case 'authenticationOk':
        this.#permit('none')
        this.#stage = { at: 'over' }
        return undefined
      case 'authenticationCleartextPassword':
        this.#permit('password')
        if (this.#around.encryption === 'none' && !this.#around.loopback) {
          throw unacceptable('asks for the password in the clear, and there is no TLS')
        }
        this.#stage = { at: 'answered' }
        return passwordMessage(text(this.#identity.password.reveal()))
      case 'authenticationMD5Password':
        this.#permit('md5')
        this.#stage = { at: 'answered' }
        return passwordMessage(text(md5Answer(this.#identity, message.salt)))
      case 'authenticationSASL':
        this.#permit('scram-sha-256')
        return this.#beginScram(message.mechanisms)
      case 'authenticationOther':
        throw unacceptable(
          `asks for ${otherMethods.get(message.code) ?? `authentication method ${message.code}`}, which is not supported; let pgwarden in by scram-sha-256 in its pg_hba.conf`,
        )
      default:
        throw unacceptable(`sent ${message.type} before it had let us in`)
    }
  }

  #beginScram(mechanisms: readonly string[]): Buffer {
    const binding = this.#binding(mechanisms.includes(scramPlus))
    const mechanism = binding.type === 'bound' ? scramPlus : scram
    if (!mechanisms.includes(mechanism)) {
      throw unacceptable(`offers ${mechanisms.join(', ')}, and not ${mechanism}`)
    }
    if (binding.type !== 'bound' && this.#terms.channelBinding === 'require') {
      throw unacceptable('offers no SCRAM that is bound to TLS, which channelBinding requires')
    }
    const { password } = this.#identity
    const client = new ScramClient({ password, binding, keys: this.#keys })
    this.#stage = { at: 'first-sent', client }
    return passwordMessage(new MessageWriter().string(mechanism).value(client.first()).take())
  }

  #binding(offered: boolean): ChannelBinding {
    const { encryption, endPoint } = this.#around
    // What PostgreSQL never does, and whoever makes it up wants to see what we do.
    if (offered && encryption === 'none') throw unacceptable(`offers ${scramPlus} without TLS`)
    if (this.#terms.channelBinding === 'disable' || endPoint === undefined) return { type: 'none' }
    return offered ? { type: 'bound', endPoint } : { type: 'not-offered' }
  }

  /** Asked before anything is sent: what was sent to the wrong one cannot be taken back. */
  #permit(method: AuthMethod): void {
    const { requireAuth, channelBinding } = this.#terms
    const asks = method === 'none' ? 'lets us in without asking' : `asks for ${method}`
    if (!requireAuth.includes(method)) {
      throw unacceptable(`${asks}, which requireAuth does not allow`)
    }
    if (channelBinding === 'require' && method !== 'scram-sha-256') {
      throw unacceptable(`${asks}, and channelBinding requires SCRAM that is bound to TLS`)
    }
  }
}

const otherMethods: ReadonlyMap<number, string> = new Map([
  [2, 'Kerberos V5'],
  [6, 'SCM credentials'],
  [7, 'GSSAPI'],
  [8, 'GSSAPI'],
  [9, 'SSPI'],
])

/** As pg_authid keeps it, hashed once more with the salt of this connection. */
function md5Answer({ user, password }: Identity, salt: Buffer): string {
  const kept = md5(Buffer.from(password.reveal() + user))
  return `md5${md5(Buffer.concat([Buffer.from(kept), salt]))}`
}

function md5(bytes: Buffer): string {
  return createHash('md5').update(bytes).digest('hex')
}

function text(value: string): Buffer {
  return new MessageWriter().string(value).take()
}

function passwordMessage(data: Buffer): Buffer {
  return encodeFrontend({ type: 'password', data })
}

function unacceptable(message: string): ServerProblem {
  return new ServerProblem('unacceptable', message)
}
