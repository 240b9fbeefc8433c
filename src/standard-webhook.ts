// Signs what programs are sent, so that receivers verify it with a library of their language. Ignorant of
// what is sent, and of how it gets there.
// Standard Webhooks, "Signature scheme": HMAC-SHA256 over "id.timestamp.body". The time is signed as well:
// an old letter cannot be sent again later.

import { createHmac } from 'node:crypto'
import type { Secret } from './secret.ts'

/**
 * `secrets` are written `whsec_` and base64; there are several while one is replaced by another, and the
 * letter is signed with each. `id`: what the receiver tells a letter by that comes twice.
 */
export function signedHeaders(
  id: string,
  body: string | Buffer,
  secrets: readonly Secret[],
  now: number,
): Readonly<Record<string, string>> {
  const timestamp = String(Math.floor(now / 1_000))
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.reveal().replace(/^whsec_/, ''), 'base64')
    const digest = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body)
    return `v1,${digest.digest('base64')}`
  })
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': signatures.join(' '),
  }
}
