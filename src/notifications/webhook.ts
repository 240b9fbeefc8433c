// A change as a signed letter to a program. Ignorant of how it gets there.
// Standard Webhooks, "Signature scheme": HMAC-SHA256 over "id.timestamp.body", so that receivers verify it
// with a library of their language. The time is signed as well: an old letter cannot be sent again later.

import { createHmac } from 'node:crypto'
import type { Secret } from '../secret.ts'
import { described } from './described.ts'
import type { Delivery, Surroundings } from './ports.ts'
import type { Letter } from './post.ts'

/**
 * `secrets` are written `whsec_` and base64; there are several while one is replaced by another, and the
 * letter is signed with each. The id is that of the change: a letter that comes twice has the same.
 */
export function webhookLetter(
  delivery: Delivery,
  surroundings: Surroundings,
  secrets: readonly Secret[],
  now: number,
): Letter {
  const id = `chg_${delivery.changeId}`
  const timestamp = String(Math.floor(now / 1_000))
  const body = JSON.stringify(described(delivery, surroundings))
  const signed = `${id}.${timestamp}.${body}`
  return {
    headers: {
      'content-type': 'application/json',
      'user-agent': 'pgwarden',
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': secrets.map((secret) => signature(secret, signed)).join(' '),
    },
    body,
  }
}

function signature(secret: Secret, signed: string): string {
  const key = Buffer.from(secret.reveal().replace(/^whsec_/, ''), 'base64')
  return `v1,${createHmac('sha256', key).update(signed).digest('base64')}`
}
