// The section `http`: where the control plane listens, and how it is reached. Ignorant of what it answers.

import { z } from 'zod'
import { keys, list, loopback, network, port, text, webAddress } from './values.ts'

export interface HttpConfig {
  readonly address: string
  readonly port: number
  /** Absolute paths of PEM files; with them it speaks TLS and nothing else. */
  readonly tls:
    | {
        readonly setting: 'http.tls'
        readonly certificate: string
        readonly key: string
        readonly clientCa: undefined
      }
    | undefined
  /** Networks from which the API may be called without TLS. */
  readonly allowPlaintextFrom: readonly string[]
  /** Where people reach it, without a slash at its end: for hints. */
  readonly url: string | undefined
}

export function httpSchema(path: z.ZodType<string, string>) {
  return keys({
    address: text.default('127.0.0.1'),
    port: port.default(8432),
    tls: keys({ certificate: path, key: path }).optional(),
    allowPlaintextFrom: z.array(network, list).default(loopback),
    url: webAddress.transform((url) => url.replace(/\/+$/, '')).optional(),
  })
}

export function httpOf(raw: z.output<ReturnType<typeof httpSchema>>): HttpConfig {
  const { address, port, tls, allowPlaintextFrom, url } = raw
  const files = tls && { setting: 'http.tls' as const, ...tls, clientCa: undefined }
  return { address, port, tls: files, allowPlaintextFrom, url }
}
