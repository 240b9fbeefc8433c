// What there is to measure of Vault: whether it serves, what its answers were and took, and how long our
// token lives. Registered only where a Vault is configured, so that none is missed where there is none.
// Ignorant of what is asked of it.

import type { Registry } from 'prom-client'
import type { Definitions } from './definition.ts'
import { register } from './instruments.ts'

/** Those with which no server of Vault serves anybody. */
const away = ['unreachable', 'sealed', 'standby'] as const
const results = [
  'ok',
  ...away,
  'throttled',
  'failing',
  'denied',
  'missing',
  'invalid',
  'unauthenticated',
] as const

type Result = (typeof results)[number]

export const vaultMetrics = {
  up: {
    type: 'gauge',
    name: 'pgwarden_vault_up',
    help: 'Whether the last request to Vault found a server that serves: 1, or 0.',
    across: 'max',
  },
  requests: {
    type: 'counter',
    name: 'pgwarden_vault_requests_total',
    help: 'Requests to Vault, logins and renewals of its token included, by what came of them.',
    labels: [{ name: 'result', values: results }],
  },
  durations: {
    type: 'histogram',
    name: 'pgwarden_vault_request_duration_seconds',
    help: 'One request to Vault, whichever of its servers answered it.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  },
  breaker: {
    type: 'gauge',
    name: 'pgwarden_vault_breaker_open',
    help: 'Whether Vault is asked nothing for the moment, because it has not served for some time.',
    across: 'max',
    note: '1 after five requests in a row that waited in vain; a probe goes out at times.',
  },
  tokenExpiry: {
    type: 'gauge',
    name: 'pgwarden_vault_token_expiry_timestamp_seconds',
    help: "When pgwarden's Vault token ends unless it is renewed, in Unix time; +Inf: never.",
    across: 'max',
  },
} as const satisfies Definitions

export interface VaultMeter {
  /** `result`: ok, or what was the matter. */
  asked(result: Result, ms: number): void
  breaker(isOpen: boolean): void
  /** Milliseconds since the epoch; undefined: never. */
  tokenEnds(at: number | undefined): void
}

export function createVaultMeter(registry: Registry): VaultMeter {
  const { up, requests, durations, breaker, tokenExpiry } = register(registry, vaultMetrics)
  return {
    asked: (result, ms) => {
      up.set(away.some((each) => each === result) ? 0 : 1)
      requests.add(1, result)
      durations.observe(ms / 1000)
    },
    breaker: (isOpen) => breaker.set(isOpen ? 1 : 0),
    tokenEnds: (at = Number.POSITIVE_INFINITY) => tokenExpiry.set(at / 1000),
  }
}
