// Storage for a Journal that keeps its writes in memory and can be told to fail, the clock for it, and
// a reader of its lines.

import { genesisHash } from '../../src/audit/chain.ts'
import type { Batch, JournalStorage, Tip } from '../../src/audit/storage.ts'
import type { Clock } from '../../src/clock.ts'

/** The tip of a chain without records. */
export const emptyChain: Tip = { chainId: '0123456789abcdef', sequence: 0, hash: genesisHash }

/** One segment without an end, on a disk that confirms at once. */
export abstract class EndlessSegment implements JournalStorage {
  get full(): boolean {
    return false
  }

  seal(): string | undefined {
    return undefined
  }

  end(): void {}

  opening(): string | undefined {
    return undefined
  }

  async sync(): Promise<void> {}

  abstract write(batch: Batch): void
}

export class MemoryStorage extends EndlessSegment {
  /** The text of each write that succeeded. */
  readonly writes: string[] = []
  failing = false
  /** Fields that open the next segment; used once a write has succeeded. */
  nextOpening: string | undefined

  override write({ bytes, length }: Batch): void {
    if (this.failing) throw new Error('ENOSPC: no space left on device, /var/lib/secret-path')
    this.writes.push(bytes.toString('utf8', 0, length))
    this.nextOpening = undefined
  }

  override opening(): string | undefined {
    return this.nextOpening
  }

  /** Every line stored, without line feeds. */
  get lines(): readonly string[] {
    return this.writes.flatMap((text) => text.split('\n').slice(0, -1))
  }
}

/** A storage that only takes what is written. */
export function storageThat(write: (batch: Batch) => void): JournalStorage {
  return new (class extends EndlessSegment {
    override write(batch: Batch): void {
      write(batch)
    }
  })()
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
