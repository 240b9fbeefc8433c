// Checkpoints that were kept elsewhere, as sinks deliver them: each says which hash a chain had at its own
// record. A chain that was rewritten, or cut off, since then does not have it any more. Ignorant of where
// they were kept.

import { Failure } from '../errors.ts'
import { type ChainPlace, readSeal } from './chain.ts'
import { readHead } from './line.ts'
import type { Finding } from './verdict.ts'

/** Two years of one a minute. As texts of one length they are small, and sort themselves. */
const mostKept = 1_000_000
const digits = 15

export class KeptCheckpoints {
  readonly #byChain = new Map<string, Set<string>>()
  #count = 0

  /** A line that is no checkpoint is passed over. @throws Failure when there are too many. */
  add(line: Buffer): void {
    if (readHead(line)?.type !== 'journal.checkpoint') return
    const seal = readSeal(line)
    if (seal?.chainId === undefined) return
    if (this.#count === mostKept) throw tooMany()
    this.#count += 1
    const ofChain = this.#byChain.get(seal.chainId) ?? new Set()
    this.#byChain.set(seal.chainId, ofChain)
    // Sinks deliver at least once.
    ofChain.add(`${String(seal.sequence).padStart(digits, '0')}${seal.hash}`)
  }

  get count(): number {
    return this.#count
  }

  get chainIds(): readonly string[] {
    return [...this.#byChain.keys()]
  }

  of(chainId: string): KeptOfChain {
    return new KeptOfChain([...(this.#byChain.get(chainId) ?? [])].sort())
  }
}

/** Those of one chain, compared as it is read. */
export class KeptOfChain {
  readonly #kept: readonly string[]
  #next = 0

  constructor(kept: readonly string[]) {
    this.#kept = kept
  }

  /** The next record of the chain that is found good. */
  record({ sequence, hash }: ChainPlace): Finding | undefined {
    let finding: Finding | undefined
    for (let kept = this.#peek(); kept && kept.sequence <= sequence; kept = this.#peek()) {
      this.#next += 1
      // One of a record before the first that is left is of what was retired.
      if (kept.sequence === sequence && kept.hash !== hash) {
        finding ??= {
          kind: 'rewritten',
          message: `record ${sequence} was another when its checkpoint was sent away: the chain was rewritten`,
        }
      }
    }
    return finding
  }

  /** At the end of the chain. */
  missing(): Finding | undefined {
    const last = this.#kept.at(-1)
    const next = this.#peek()
    if (last === undefined || next === undefined) return undefined
    const message = `the chain had ${placeOf(last).sequence} records when its last checkpoint was sent away: its end was cut off`
    return { kind: 'cut off', message }
  }

  #peek(): ChainPlace | undefined {
    const kept = this.#kept[this.#next]
    return kept === undefined ? undefined : placeOf(kept)
  }
}

function tooMany(): Failure {
  return new Failure('invalid_parameter', {
    message: `there are more than ${mostKept} checkpoints in one file`,
    hint: 'Give them in parts: each part is a check of its own.',
  })
}

function placeOf(kept: string): ChainPlace {
  return { sequence: Number(kept.slice(0, digits)), hash: kept.slice(digits) }
}
