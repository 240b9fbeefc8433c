// A place that is told of changes: what it wants to hear, where it is, and how a change is written for it.
// Ignorant of when it is told.

import type { Address, Letter } from '../post.ts'
import type { Secret } from '../secret.ts'
import type { ChangeType, Delivery, Surroundings } from './ports.ts'
import { slackLetter } from './slack.ts'
import { webhookLetter } from './webhook.ts'

interface Place extends Address {
  /** In the log, in metrics and in the store: what waits for it goes on waiting when its URL changes. */
  readonly name: string
  readonly events: readonly ChangeType[]
}

export type Channel =
  | (Place & { readonly type: 'webhook'; readonly secrets: readonly Secret[] })
  | (Place & { readonly type: 'slack' })

export function letterTo(
  channel: Channel,
  delivery: Delivery,
  surroundings: Surroundings,
  now: number,
): Letter {
  switch (channel.type) {
    case 'webhook':
      return webhookLetter(delivery, surroundings, channel.secrets, now)
    case 'slack':
      return slackLetter(delivery, surroundings)
  }
}
