// Asks for checkpoints: at the start, at intervals as long as there is something new to sign, and before
// the chain is closed. Nobody waits for one: a signer that fails or is slow delays checkpoints, and
// nothing else. Ignorant of keys.

import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Secret } from '../secret.ts'
import { unlessAborted } from '../waiting.ts'
import type { ChainPlace } from './chain.ts'
import {
  checkpointRecord,
  checkpointText,
  keyIdOf,
  mostBetween,
  mostWaitingMs,
} from './checkpoint.ts'
import type { JournalWaiter } from './journal.ts'

interface KeySignature {
  readonly keyId: string
  readonly signature: Buffer
}

export interface CheckpointSigner {
  /** With Ed25519. Rejects when it cannot; the signal tells that nobody waits any more. */
  sign(text: Buffer, signal: AbortSignal): Promise<KeySignature>
}

/** Of the Journal. */
export interface SignedJournal {
  readonly tip: ChainPlace & { readonly chainId: string }
  /** How often something has been appended. */
  readonly appended: number
  append(fields: string, waiter: JournalWaiter): void
  /** Stores what was appended before, so that the tip has it. */
  flush(): void
}

/** Hears of each checkpoint, for metrics and the log. */
export interface CheckpointObserver {
  /** `at`: milliseconds since the epoch. */
  made(at: number): void
  failed(error: unknown): void
}

export interface CheckpointOptions {
  readonly journal: SignedJournal
  readonly signer: CheckpointSigner
  readonly clock: Clock
  readonly everyMs: number
  readonly observer: CheckpointObserver
  /** For one signature. */
  readonly limitMs?: number
}

const signedWithinMs = 10_000
/** At the end somebody waits for the process. */
const lastWithinMs = 2_000
/** A signer that was away is asked again before it is time for the next one. */
const retryMs = 30_000

/** A key that this process holds. */
export function signerOf(pem: Secret): CheckpointSigner {
  const key = createPrivateKey(pem.reveal())
  const keyId = keyIdOf(createPublicKey(key))
  return { sign: async (text) => ({ keyId, signature: sign(null, text, key) }) }
}

export class Checkpoints {
  readonly #options: CheckpointOptions
  /** What had been appended with the last checkpoint. */
  #covered: number | undefined
  #round: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  readonly #stopping = new AbortController()

  constructor(options: CheckpointOptions) {
    this.#options = options
  }

  start(): void {
    void this.#rounds()
  }

  /** One more, if it can be had within two seconds, and none any more. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return
    this.#stopping.abort(new Error('pgwarden is stopping'))
    clearTimeout(this.#timer)
    await this.#round
    await this.#attempt(AbortSignal.timeout(lastWithinMs))
  }

  async #rounds(): Promise<void> {
    const { everyMs, limitMs = signedWithinMs } = this.#options
    const { signal } = this.#stopping
    const round = this.#attempt(AbortSignal.any([signal, AbortSignal.timeout(limitMs)]))
    this.#round = round.then(() => undefined)
    const made = await round
    if (signal.aborted) return
    this.#timer = setTimeout(() => void this.#rounds(), made ? everyMs : Math.min(everyMs, retryMs))
    this.#timer.unref()
  }

  /** Whether the chain is signed as far as it was when this was called. Never rejects. */
  async #attempt(signal: AbortSignal): Promise<boolean> {
    const { journal, clock, observer } = this.#options
    if (journal.appended === this.#covered) return true
    try {
      const at = clock.now()
      journal.flush()
      // What comes while it is signed is for the next one.
      const covers = journal.appended + 1
      await this.#store(await this.#signed(at, signal))
      this.#covered = covers
      observer.made(at)
      return true
    } catch (error) {
      // What was given up for the last one, which is asked for next, has not failed.
      if (error !== this.#stopping.signal.reason) observer.failed(error)
      return false
    }
  }

  async #signed(asked: number, signal: AbortSignal): Promise<string> {
    const { journal, signer, clock } = this.#options
    const { chainId, sequence, hash } = journal.tip
    const of = { sequence, hash }
    const at = new Date(asked).toISOString()
    // A signer need not listen to the signal.
    const signing = signer.sign(checkpointText(chainId, of, at), signal)
    const { keyId, signature } = await unlessAborted(signal, signing)
    // After a suspension of the machine, say. A verifier would take it for one that was moved.
    const late = Math.abs(clock.now() - asked) > mostWaitingMs / 2
    if (late || journal.tip.sequence - sequence > mostBetween / 2) {
      throw new Error('the signature came too late to be recorded')
    }
    return checkpointRecord({ of, at, key: keyId, signature })
  }

  #store(fields: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#options.journal.append(fields, { stored: resolve, refused: reject })
    })
  }
}
