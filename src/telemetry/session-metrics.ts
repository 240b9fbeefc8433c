// The metrics of clients and their sessions: who came, who got in, what is open now. Ignorant of who counts.

import type { Registry } from 'prom-client'
import { type Definitions, listener, role, target } from './definition.ts'
import { register } from './instruments.ts'

export const sessionMetrics = {
  connections: {
    type: 'counter',
    name: 'pgwarden_connections_total',
    help: 'Client connections by what they turned out to be.',
    labels: [{ name: 'result', values: ['login', 'cancel', 'rejected', 'silent'] }],
  },
  open: {
    type: 'gauge',
    name: 'pgwarden_connections',
    help: 'Client connections that are open now: on their way to a session, or with one.',
    labels: [listener, { name: 'state', values: ['opening', 'session'] }],
  },
  most: {
    type: 'gauge',
    name: 'pgwarden_connections_max',
    help: 'How many client connections a listener takes: its maxConnections.',
    labels: [listener],
  },
  logins: {
    type: 'counter',
    name: 'pgwarden_logins_total',
    help: 'Logins by result and, where there was one, the true reason of a refusal.',
    labels: [
      { name: 'result', values: ['ok', 'refused', 'failed'] },
      { name: 'reason', values: '`ok`, reasons of refusals as in the journal, codes of failures' },
    ],
    note: '`refused` is a bad token, and `reason` the true one, as in journal and log (`expired`, `spent`, `other_address`, ...), or a genuine one for another database (`wrong_target`, `unknown_target`); `failed` is everything else that stood in the way, with its code (`cannot_connect_now`, `upstream_unreachable`, ...).',
  },
  loginDurations: {
    type: 'histogram',
    name: 'pgwarden_login_duration_seconds',
    help: 'From the proof that a client shows to its ReadyForQuery, or to the decision to refuse it.',
    labels: [{ name: 'result', values: ['ok', 'refused', 'failed'] }],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    note: 'With the login that is made on the target; without the wait that guesses are answered after.',
  },
  sessions: {
    type: 'gauge',
    name: 'pgwarden_sessions',
    help: 'Sessions open now, by what they do.',
    labels: [target, role, { name: 'state', values: ['idle', 'active', 'idle_in_transaction'] }],
    note: 'States as in `pg_stat_activity`; one that waits for its record or its judgement is `active`.',
  },
  bytes: {
    type: 'counter',
    name: 'pgwarden_client_bytes_total',
    help: 'Bytes relayed between clients and upstreams.',
    labels: [{ name: 'direction', values: ['to_client', 'to_upstream'] }],
  },
  cancels: {
    type: 'counter',
    name: 'pgwarden_cancels_total',
    help: 'Cancel requests by what became of them.',
    labels: [
      {
        name: 'result',
        values: ['sent', 'idle', 'held', 'failed', 'passed', 'unknown', 'limited'],
      },
    ],
    note: 'As in the journal; `limited` grows when somebody guesses keys.',
  },
  tripwires: {
    type: 'counter',
    name: 'pgwarden_tripwires_total',
    help: 'Sessions ended because a pinned setting was changed: something got round the policy.',
    labels: [role, { name: 'setting', values: 'the settings that are pinned' }],
    note: 'Alert on any.',
  },
} as const satisfies Definitions

export interface SessionMeter {
  /** What a client connection turned out to be. */
  connection(result: 'login' | 'cancel' | 'rejected' | 'silent'): void
  /** `reason` is one of access/'s reasons for refusing, or another word from a fixed list. */
  login(result: 'ok' | 'refused' | 'failed', reason: string, seconds: number): void
  /** A pinned setting was changed behind the policy's back. */
  tripped(role: string, setting: string): void
  cancel(result: 'sent' | 'idle' | 'held' | 'failed' | 'passed' | 'unknown' | 'limited'): void
  bytes(direction: 'to_client' | 'to_upstream', count: number): void
  /** Asked at each scrape from this call on. */
  observe(house: House): void
}

/** What the listeners and sessions of this process do now. */
interface House {
  activities(): readonly {
    readonly target: string
    readonly role: string
    readonly state: 'idle' | 'active' | 'idle_in_transaction'
  }[]
  attendances(): readonly {
    /** Its address and port. */
    readonly listener: string
    readonly opening: number
    readonly sessions: number
    readonly max: number
  }[]
}

export function createSessionMeter(registry: Registry): SessionMeter {
  const { connections, open, most, logins, loginDurations, sessions, bytes, cancels, tripwires } =
    register(registry, sessionMetrics)
  return {
    connection: (result) => connections.add(1, result),
    login: (result, reason, seconds) => {
      logins.add(1, result, reason)
      loginDurations.observe(seconds, result)
    },
    tripped: (role, setting) => tripwires.add(1, role, setting),
    cancel: (result) => cancels.add(1, result),
    bytes: (direction, count) => bytes.add(count, direction),
    observe: (house) => {
      sessions.onScrape(() => {
        sessions.zero()
        for (const { target, role, state } of house.activities()) {
          sessions.add(1, target, role, state)
        }
      })
      open.onScrape(() => {
        for (const { listener, opening, sessions } of house.attendances()) {
          open.set(opening, listener, 'opening')
          open.set(sessions, listener, 'session')
        }
      })
      most.onScrape(() => {
        for (const { listener, max } of house.attendances()) most.set(max, listener)
      })
    },
  }
}
