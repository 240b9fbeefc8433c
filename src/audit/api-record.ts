// The record of a call of the control plane's API: who asked what of it, and how that was answered. What a call
// changed has records of its own. Ignorant of HTTP's bodies and queries, which can hold anything.

import type { Actor } from '../access/change.ts'
import { nameLimit, quote, quoteWithin } from './json.ts'

export interface ApiCall {
  /** Undefined where nobody is known. */
  readonly by: Actor | undefined
  readonly method: string
  /** The path with the names of its parameters in the place of their values. */
  readonly route: string
  readonly status: number
  /** Those values: ids of grants, requests, sessions. */
  readonly ids: Readonly<Record<string, string>>
  readonly client: string
  /** How many such calls there were since the last such record, where not each has one. */
  readonly count?: number
}

/** A route has one or two. */
const mostIds = 4

export function apiCallRecord(call: ApiCall): string {
  const { by, ids, count = 1 } = call
  const named = Object.entries(ids)
    .slice(0, mostIds)
    .map(([name, value]) => `${quote(name)}:${short(value)}`)
  return [
    '"type":"api.call"',
    ...(by === undefined ? [] : [`"by":${short(by.principal)}`, `"via":${short(by.via)}`]),
    `"method":${short(call.method)}`,
    `"route":${short(call.route)}`,
    `"status":${call.status}`,
    ...(named.length === 0 ? [] : [`"ids":{${named.join(',')}}`]),
    `"client":${short(call.client)}`,
    ...(count === 1 ? [] : [`"count":${count}`]),
  ].join(',')
}

function short(text: string): string {
  return quoteWithin(text, nameLimit)
}
