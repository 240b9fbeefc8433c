// What telling the outside needs from the rest: the outbox in the store, and somebody who counts and logs.
// Ignorant of how they do it.

import type { Change } from '../access/change.ts'
import type { AccessRequest } from '../access/request.ts'
import type { Need } from '../access/rules.ts'

export type ChangeType = Change['type']

/** One change on its way to one channel. */
export interface Delivery {
  readonly channel: string
  readonly changeId: string
  readonly change: Change
  /** When it was changed, in milliseconds since the epoch. */
  readonly at: number
  /** This one included. */
  readonly tries: number
  /** Whether the request that it is about still waits for a decision. */
  readonly isPending: boolean
}

/** Changes that are not told yet, shared by all processes. Of one object they leave it in their order. */
export interface Outbox {
  /** Gives the changes that nobody has looked at to the channels that want them, unless older than `since`. */
  distribute(wanted: readonly Wanted[], now: number, since: number): Promise<void>
  /** For each channel that something waits for: since when the oldest does. */
  waiting(): Promise<readonly { readonly channel: string; readonly since: number }[]>
  /** One delivery that is due, for this process alone until `until`, when it is due again. */
  claim(channel: string, now: number, until: number): Promise<Delivery | undefined>
  postpone(delivery: Delivery, until: number): Promise<void>
  /** It was delivered, or given up. */
  remove(delivery: Delivery): Promise<void>
}

export interface Wanted {
  readonly channel: string
  readonly types: readonly ChangeType[]
}

/** `why` names neither an address nor what was sent: both can be secrets. */
export interface DeliveryObserver {
  delivered(channel: string): void
  /** It will be tried again. */
  failed(channel: string, why: string): void
  givenUp(channel: string, type: ChangeType, why: string): void
  /** How long the oldest waits; 0: nothing does. */
  waits(channel: string, ms: number): void
  problem(error: unknown): void
}

/** What a message says beside the change itself. */
export interface Surroundings {
  /** Where people reach the API; undefined: nobody said. */
  readonly url: string | undefined
  /** Who must approve, by the rules of now. */
  readonly needs: (request: AccessRequest) => readonly Need[]
}
