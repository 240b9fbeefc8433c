// The section `http`: where the control plane listens, and how it is reached; and where the metrics are. Ignorant of
// what it answers.

import { z } from 'zod'
import type { Secret } from '../secret.ts'
import { keys, list, loopback, network, port, type secret, text, webAddress } from './values.ts'

/** Absolute paths of PEM files; with them a listener speaks TLS and nothing else. */
interface Tls<Setting extends string> {
  readonly setting: Setting
  readonly certificate: string
  readonly key: string
  readonly clientCa: undefined
}

export interface HttpConfig {
  readonly address: string
  readonly port: number
  readonly tls: Tls<'http.tls'> | undefined
  readonly metrics: MetricsConfig
  /** Networks from which the API may be called without TLS. */
  readonly allowPlaintextFrom: readonly string[]
  /** Where people reach it, without a slash at its end: for hints. */
  readonly url: string | undefined
}

interface MetricsConfig {
  readonly address: string
  /** Undefined: they have no listener of their own. */
  readonly port: number | undefined
  readonly tls: Tls<'http.metrics.tls'> | undefined
  /** What a scrape must show. Undefined: nothing. */
  readonly token: Secret | undefined
}

/** Shorter ones can be guessed by whoever may ask often. */
const shortestToken = 16

export function httpSchema(path: z.ZodType<string, string>, secretText: ReturnType<typeof secret>) {
  const tls = keys({ certificate: path, key: path }).optional()
  const token = secretText.refine(
    (secret) => secret.reveal().length >= shortestToken && !/\s/.test(secret.reveal()),
    `expected a token of at least ${shortestToken} characters without spaces`,
  )
  const metrics = keys({
    address: text.optional(),
    port: port.optional(),
    tls,
    token: token.optional(),
  }).refine((raw) => raw.port !== undefined || (raw.address ?? raw.tls) === undefined, {
    path: ['port'],
    error: 'expected a port: address and tls are for a listener of its own',
    when: () => true,
  })
  return keys({
    address: text.default('127.0.0.1'),
    port: port.default(8432),
    tls,
    metrics: metrics.prefault({}),
    allowPlaintextFrom: z.array(network, list).default(loopback),
    url: webAddress.transform((url) => url.replace(/\/+$/, '')).optional(),
  })
}

export function httpOf(raw: z.output<ReturnType<typeof httpSchema>>): HttpConfig {
  const { address, port, tls, metrics, allowPlaintextFrom, url } = raw
  return {
    address,
    port,
    tls: tls && { setting: 'http.tls', ...tls, clientCa: undefined },
    metrics: {
      address: metrics.address ?? '127.0.0.1',
      port: metrics.port,
      tls: metrics.tls && { setting: 'http.metrics.tls', ...metrics.tls, clientCa: undefined },
      token: metrics.token,
    },
    allowPlaintextFrom,
    url,
  }
}
