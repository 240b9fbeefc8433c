// The way in to the API: with TLS, or from a network that may go without. A key or a token that came in the
// clear from elsewhere has been seen by whoever was in between, so the call is refused before it is read;
// what a proxy in front claims in a header (X-Forwarded-Proto, Forwarded) anybody can claim.
// Ignorant of routes and of which networks those are.

import type { Context, MiddlewareHandler } from 'hono'
import { z } from 'zod'
import { Failure } from '../errors.ts'

/** Who is at the other end of the connection, as far as the socket tells. */
export interface Peer {
  /** Without port; empty where it is not known. */
  readonly address: string
  readonly encrypted: boolean
}

/** What @hono/node-server passes along with a call, as far as it is read here. */
const served = z.object({
  incoming: z.object({
    socket: z.object({ remoteAddress: z.string().optional(), encrypted: z.boolean().optional() }),
  }),
})

/** Refuses calls without TLS but from addresses of which `mayComePlain` says so. */
export function door(mayComePlain: (address: string) => boolean): MiddlewareHandler {
  return async (c, next) => {
    const { address, encrypted } = peerOf(c)
    if (!encrypted && !mayComePlain(address)) throw inTheClear()
    await next()
  }
}

/** From the socket that serve.ts gave the call; without one nobody is trusted. */
export function peerOf({ env }: Pick<Context, 'env'>): Peer {
  const { data } = served.safeParse(env)
  const { remoteAddress = '', encrypted = false } = data?.incoming.socket ?? {}
  return { address: remoteAddress, encrypted }
}

function inTheClear(): Failure {
  return new Failure('forbidden', {
    message: 'the API is not served in the clear to this address',
    detail: 'A credential that was sent has been readable on its way: have it revoked.',
    hint: 'Call it by https, or from a network that http.allowPlaintextFrom names.',
  })
}
