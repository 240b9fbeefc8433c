// The audit as a server hands it out, in the shape in which the journal's directory has it. Ignorant of how
// records are shown.

import type { AuditFilter } from '../audit/filter.ts'
import { jsonLine } from '../audit/json.ts'
import type { AuditEvent } from '../client/answers.ts'
import type { Client } from '../client/client.ts'
import { followAudit } from '../client/following.ts'
import { queryOf } from './audit-filter.ts'
import type { FoundRecord } from './operations.ts'
import type { Context } from './program.ts'

interface Wanted {
  readonly filter: AuditFilter
  readonly limit: number
  /** Hears what is being done, for whoever waits. */
  readonly onProgress: (at: string) => void
}

/** Newest first. */
export async function* queryServer(
  { api }: Client,
  { filter, limit, onProgress }: Wanted,
  signal: AbortSignal,
): AsyncGenerator<FoundRecord> {
  let pages = 0
  const onPage = (): void => {
    pages += 1
    onProgress(`${pages} pages`)
  }
  for await (const event of api.auditEvents(queryOf(filter), limit, signal, onPage)) {
    yield foundOf(event)
  }
}

/** Oldest first. */
export async function* tailServer(
  { outside, terminal }: Context,
  client: Client,
  wanted: { readonly filter: AuditFilter; readonly follow: boolean; readonly lines: number },
  signal: AbortSignal,
): AsyncGenerator<FoundRecord> {
  const { filter, follow, lines } = wanted
  const newest = async (): Promise<readonly AuditEvent[]> => {
    const events: AuditEvent[] = []
    if (lines === 0) return events
    for await (const event of client.api.auditEvents(queryOf(filter), lines, signal)) {
      events.push(event)
    }
    return events
  }
  if (!follow) {
    yield* (await newest()).map(foundOf).reverse()
    return
  }
  const stream = followAudit(client.api, queryOf(filter), {
    signal,
    pause: outside.pause,
    onAway: () => void terminal.stderr.write('The server does not answer; trying again.\n'),
  })
  // The first it says is where it begins: what is written while the last records are fetched comes in both.
  const begun = await stream.next()
  const before = await newest()
  yield* before.map(foundOf).reverse()
  const shown = new Set(before.map(placeOf))
  if (begun.done === true) return
  if (begun.value.event !== undefined && !shown.has(placeOf(begun.value.event))) {
    yield foundOf(begun.value.event)
  }
  for await (const { event } of stream) {
    if (event !== undefined && !shown.delete(placeOf(event))) yield foundOf(event)
  }
}

function placeOf({ chain, seq }: AuditEvent): string {
  return `${chain}:${seq}`
}

function foundOf({ chain, ...fields }: AuditEvent): FoundRecord {
  return { chain, line: jsonLine(fields) }
}
