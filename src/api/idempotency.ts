// Idempotency keys: a POST that is repeated with its key is answered as the first time and does nothing
// again, on whichever replica it arrives. Only what was done is kept: a refusal has changed nothing and may
// be tried again. Answers with a secret are not kept. Ignorant of how they are stored.

import { createHash } from 'node:crypto'
import { Failure } from '../errors.ts'
import { type ApiMiddleware, type ControlPlane, callerOf } from './context.ts'
import type { IdempotencyKey, KeptAnswer } from './ports.ts'
import { idempotencyKey } from './schemas/common.ts'

export function idempotent({ keys, observer }: ControlPlane): ApiMiddleware {
  return async (c, next) => {
    const given = c.req.header('idempotency-key')
    // What is no key is refused by the route, with all else that is wrong.
    if (
      c.req.method !== 'POST' ||
      !idempotencyKey.safeParse(given).success ||
      given === undefined
    ) {
      return next()
    }
    const hash = createHash('sha256')
      .update(`${c.req.method} ${c.req.path}\n`)
      .update(new Uint8Array(await c.req.arrayBuffer()))
      .digest()
    const key: IdempotencyKey = { principal: callerOf(c).principal, key: given, hash }
    const standing = await keys.take(key)
    switch (standing.type) {
      case 'new':
        break
      case 'answered':
        return again(standing.answer)
      case 'withheld':
        throw new Failure('conflict', {
          message: 'this was done before with this idempotency key',
          detail: 'Its answer holds a secret, and was not kept.',
          hint: 'Ask again with another key.',
        })
      case 'unanswered':
        throw new Failure('conflict', {
          message: 'a request with this idempotency key has begun and was not answered yet',
          detail: 'If its process has died, nobody knows whether it was done.',
          hint: 'See what became of it before you send it with another key.',
        })
      case 'other':
        throw new Failure('key_reused', {
          message: 'this idempotency key was used for something else',
          hint: 'Make a new key for each request.',
        })
    }
    await next()
    try {
      if (c.res.ok) {
        await keys.keep(key, c.get('secret') === true ? undefined : await kept(c.res.clone()))
      } else if (c.res.status < 500) {
        await keys.release(key)
      }
      // Else nobody knows whether it was done: the key stays taken.
    } catch (error) {
      // It was done, and who asked is to know.
      observer.defect(error)
    }
    return undefined
  }
}

async function kept(response: Response): Promise<KeptAnswer> {
  return {
    status: response.status,
    body: await response.text(),
    location: response.headers.get('location') ?? undefined,
    etag: response.headers.get('etag') ?? undefined,
  }
}

function again({ status, body, location, etag }: KeptAnswer): Response {
  const headers = {
    'content-type': 'application/json',
    'idempotent-replayed': 'true',
    ...(location === undefined ? {} : { location }),
    ...(etag === undefined ? {} : { etag }),
  }
  return new Response(body, { status, headers })
}
