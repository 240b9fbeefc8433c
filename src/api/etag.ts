// ETags of single objects: the hash of their JSON, as who asks sees it. A write with If-Match says what its
// sender has seen. Between that look and the write somebody may still be first: then the desk, which
// holds the locks, answers 409. RFC 9110, sections 8.8.3 and 13.1.

import { hash } from 'node:crypto'
import { Failure } from '../errors.ts'
import type { ApiContext } from './context.ts'

function etagOf(object: unknown): string {
  return `"${hash('sha256', JSON.stringify(object), 'base64url').slice(0, 27)}"`
}

/** Sets the ETag. Whether the caller has this object already (If-None-Match). */
export function isKnown(c: ApiContext, object: unknown): boolean {
  const etag = etagOf(object)
  c.header('etag', etag)
  return matches(c.req.header('if-none-match'), etag)
}

/**
 * `current` is asked for only when the caller has set a condition.
 * @throws Failure precondition_failed
 */
export async function requireMatch(c: ApiContext, current: () => Promise<unknown>): Promise<void> {
  const wanted = c.req.header('if-match')
  if (wanted === undefined || matches(wanted, etagOf(await current()))) return
  throw new Failure('precondition_failed', {
    message: 'it has changed since you saw it',
    hint: 'Read it again, and decide again.',
  })
}

/** The weak form is what a proxy makes of ours when it compresses. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  const tags = header.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  return tags.includes('*') || tags.includes(etag)
}
