// Storage for a Journal that keeps its writes in memory and can be told to fail, the clock for it, and
// a reader of its lines.

import type { JournalStorage } from '../../src/audit/journal.ts'
import type { Clock } from '../../src/clock.ts'

export class MemoryStorage implements JournalStorage {
  /** The text of each write that succeeded. */
  readonly writes: string[] = []
  failing = false
  /** Fields that open the next segment; used once a write has succeeded. */
  nextOpening: string | undefined

  write(lines: Buffer, length: number): void {
    if (this.failing) throw new Error('ENOSPC: no space left on device, /var/lib/secret-path')
    this.writes.push(lines.toString('utf8', 0, length))
    this.nextOpening = undefined
  }

  opening(): string | undefined {
    return this.nextOpening
  }

  /** Every line stored, without line feeds. */
  get lines(): readonly string[] {
    return this.writes.flatMap((text) => text.split('\n').slice(0, -1))
  }
}

/** 2026-01-02T03:04:05.678Z until somebody moves it. */
export class HeldClock implements Clock {
  wall = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

  now(): number {
    return this.wall
  }

  elapsed(): number {
    return this.wall
  }
}

/** A line of the journal, or of the log, as the object that it must be. */
export function parseLine(line: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(line)
  if (typeof value !== 'object' || value === null) throw new Error(`not an object: ${line}`)
  return { ...value }
}
