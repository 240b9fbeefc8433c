// The metrics of what pgwarden shows and knows: the certificates of its listeners, the logins and catalogs of
// its targets.
// Ignorant of files and of SQL.

import type { Registry } from 'prom-client'
import { type Definitions, listener, target } from './definition.ts'
import { register } from './instruments.ts'

export const certificateMetrics = {
  expiry: {
    type: 'gauge',
    name: 'pgwarden_tls_certificate_expiry_timestamp_seconds',
    help: "When a listener's certificate expires, in Unix time.",
    labels: [listener],
    across: 'max',
  },
  loads: {
    type: 'counter',
    name: 'pgwarden_tls_certificate_loads_total',
    help: "Changes of a listener's certificate files by what came of them, the first load included.",
    labels: [listener, { name: 'result', values: ['ok', 'failed'] }],
  },
} as const satisfies Definitions

export const targetMetrics = {
  connects: {
    type: 'histogram',
    name: 'pgwarden_upstream_connect_duration_seconds',
    help: "One login of a session's on its target, whichever of its servers took it.",
    labels: [target, { name: 'result', values: ['ok', 'failed'] }],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  },
  reads: {
    type: 'counter',
    name: 'pgwarden_catalog_reads_total',
    help: "Reads of a target's catalog by what came of them.",
    labels: [target, { name: 'result', values: ['changed', 'unchanged', 'failed'] }],
  },
  functions: {
    type: 'gauge',
    name: 'pgwarden_catalog_functions',
    help: "Functions in the last snapshot of a target's catalog.",
    labels: [target],
    across: 'max',
    note: "The server's own are left out.",
  },
} as const satisfies Definitions

export interface CertificateMeter {
  /** `listener`: its address and port. The certificate that it shows from now on. */
  certificateLoaded(listener: string, expiresAt: number): void
  /** Its files have changed and cannot be used. */
  certificateFailed(listener: string): void
}

export interface CatalogMeter {
  /** `functions`: how many the target has, where it could be read. */
  catalogRead(
    target: string,
    result: 'changed' | 'unchanged' | 'failed',
    functions: number | undefined,
  ): void
}

export interface UpstreamMeter {
  upstreamConnected(target: string, result: 'ok' | 'failed', seconds: number): void
}

export function createCertificateMeter(registry: Registry): CertificateMeter {
  const { expiry, loads } = register(registry, certificateMetrics)
  return {
    certificateLoaded: (listener, expiresAt) => {
      expiry.set(expiresAt / 1000, listener)
      loads.add(1, listener, 'ok')
      loads.add(0, listener, 'failed')
    },
    certificateFailed: (listener) => loads.add(1, listener, 'failed'),
  }
}

export function createTargetMeter(registry: Registry): CatalogMeter & UpstreamMeter {
  const { connects, reads, functions } = register(registry, targetMetrics)
  return {
    upstreamConnected: (target, result, seconds) => connects.observe(seconds, target, result),
    catalogRead: (target, result, count) => {
      reads.add(1, target, result)
      if (count !== undefined) functions.set(count, target)
    },
  }
}
