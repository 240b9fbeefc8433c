// A change as a signed letter to a program. Ignorant of how it is signed and of how it gets there.

import type { Letter } from '../post.ts'
import type { Secret } from '../secret.ts'
import { signedHeaders } from '../standard-webhook.ts'
import { described } from './described.ts'
import type { Delivery, Surroundings } from './ports.ts'

/** The id is that of the change: a letter that comes twice has the same. */
export function webhookLetter(
  delivery: Delivery,
  surroundings: Surroundings,
  secrets: readonly Secret[],
  now: number,
): Letter {
  const body = JSON.stringify(described(delivery, surroundings))
  return {
    headers: {
      'content-type': 'application/json',
      'user-agent': 'pgwarden',
      ...signedHeaders(`chg_${delivery.changeId}`, body, secrets, now),
    },
    body,
  }
}
