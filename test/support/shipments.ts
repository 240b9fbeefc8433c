// Records on their way to a sink, and somebody who sends them as the shipper does: the same again until
// they are taken. Ignorant of sinks' kinds.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Shipment } from '../../src/audit/outbox.ts'
import type { Sink } from '../../src/sinks/sink.ts'

const types = ['session.start', 'statement', 'outcome', 'session.end']

/** Of one chain, `from` up to and without `to`; every one of another size. */
export function shipments(chainId: string, from: number, to: number): Shipment[] {
  return Array.from({ length: to - from }, (_, at) => shipment(chainId, from + at))
}

export function shipment(chainId: string, sequence: number, more: object = {}): Shipment {
  const event = `${chainId}-${sequence}`
  const type = types[sequence % types.length] ?? ''
  const time = new Date(Date.UTC(2026, 0, 2) + sequence).toISOString()
  const text = 'x'.repeat((sequence * 37) % 1_000)
  const record = { seq: sequence, v: 1, event, time, type, text, ...more }
  return { chain: 'main', sequence, event, time, type, line: Buffer.from(JSON.stringify(record)) }
}

/** @returns how often it was refused. */
export async function sendUntilTaken(
  sink: Sink,
  batch: readonly Shipment[],
  attemptMs = 3_000,
): Promise<number> {
  for (let refused = 0; ; refused++) {
    try {
      await sink.send(batch, AbortSignal.timeout(attemptMs))
      return refused
    } catch (error) {
      if (refused > 100) throw error
      await sleep(50)
    }
  }
}

/** Each once, where it stands for the first time. */
export function withoutDoubles(events: readonly string[]): string[] {
  return [...new Set(events)]
}
