// Puts every call of somebody known on record, and what strangers try. What a call changes is on record before
// it is done; the call itself is when its answer is known. An answer to a question is held back until its record
// is stored, and not given when it cannot be. Ignorant of what is asked.

import { routePath } from 'hono/route'
import { type ApiCall, apiCallRecord } from '../audit/api-record.ts'
import type { ApiContext, ApiMiddleware, ControlPlane } from './context.ts'
import { peerOf } from './door.ts'

/** Any stranger can be refused as often as they like: one record in so long says how many there were. */
const recordEveryMs = 1_000

type Plane = Pick<ControlPlane, 'record' | 'note' | 'stopping'>

export function recorded({ record, note, stopping }: Plane): ApiMiddleware {
  const strangers = new Strangers(note)
  stopping.addEventListener('abort', () => strangers.stop(), { once: true })
  return async (c, next) => {
    await next()
    const call = callIn(c)
    if (call.by === undefined) {
      // The document and how to log in are for everybody.
      if (call.status >= 400) strangers.refused(call)
    } else if (c.req.method === 'GET' || c.req.method === 'HEAD') {
      try {
        await record(apiCallRecord(call))
      } catch (error) {
        await c.res.body?.cancel()
        // Else its headers would be those of the refusal too.
        c.res = undefined
        throw error
      }
    } else {
      // What it did is done and on record: to refuse the answer would say otherwise.
      note(apiCallRecord(call))
    }
  }
}

function callIn(c: ApiContext): ApiCall {
  return {
    by: c.get('identity'),
    method: c.req.method,
    route: routePath(c, -1),
    status: c.res.status,
    ids: c.req.param(),
    client: peerOf(c).address,
  }
}

/** Refused calls of nobody known, summed up by status. */
class Strangers {
  readonly #note: ControlPlane['note']
  readonly #unrecorded = new Map<number, ApiCall & { readonly count: number }>()
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(note: ControlPlane['note']) {
    this.#note = note
  }

  refused(call: ApiCall): void {
    const count = (this.#unrecorded.get(call.status)?.count ?? 0) + 1
    // What a stranger wrote into a path is nobody's id.
    this.#unrecorded.set(call.status, { ...call, ids: {}, count })
    if (this.#timer === undefined) this.#record()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#record()
  }

  #record(): void {
    this.#timer = undefined
    if (this.#unrecorded.size === 0) return
    for (const call of this.#unrecorded.values()) this.#note(apiCallRecord(call))
    this.#unrecorded.clear()
    if (this.#stopped) return
    this.#timer = setTimeout(() => this.#record(), recordEveryMs).unref()
  }
}
