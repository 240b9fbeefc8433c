// The metrics of clients and their sessions: who came, who got in, what is open now. Ignorant of who counts.

import type { Registry } from 'prom-client'
import { type Definitions, role, target } from './definition.ts'
import { register } from './instruments.ts'

export const sessionMetrics = {
  connections: {
    type: 'counter',
    name: 'pgwarden_connections_total',
    help: 'Client connections by what they turned out to be.',
    labels: [{ name: 'result', values: ['login', 'cancel', 'rejected', 'silent'] }],
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
  sessions: {
    type: 'gauge',
    name: 'pgwarden_sessions',
    help: 'Sessions open now.',
    labels: [role, target],
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
  login(result: 'ok' | 'refused' | 'failed', reason: string): void
  sessionOpened(role: string, target: string): void
  sessionClosed(role: string, target: string): void
  /** A pinned setting was changed behind the policy's back. */
  tripped(role: string, setting: string): void
  cancel(result: 'sent' | 'idle' | 'held' | 'failed' | 'passed' | 'unknown' | 'limited'): void
  bytes(direction: 'to_client' | 'to_upstream', count: number): void
}

export function createSessionMeter(registry: Registry): SessionMeter {
  const { connections, logins, sessions, bytes, cancels, tripwires } = register(
    registry,
    sessionMetrics,
  )
  const open = new Map<string, Map<string, number>>()
  const change = (role: string, target: string, by: number): void => {
    const targets = open.get(role) ?? new Map<string, number>()
    open.set(role, targets.set(target, (targets.get(target) ?? 0) + by))
    sessions.set(targets.get(target) ?? 0, role, target)
  }
  return {
    connection: (result) => connections.add(1, result),
    login: (result, reason) => logins.add(1, result, reason),
    sessionOpened: (role, target) => change(role, target, 1),
    sessionClosed: (role, target) => change(role, target, -1),
    tripped: (role, setting) => tripwires.add(1, role, setting),
    cancel: (result) => cancels.add(1, result),
    bytes: (direction, count) => bytes.add(count, direction),
  }
}
