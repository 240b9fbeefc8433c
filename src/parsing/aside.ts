// Analyses long texts in a thread, one after another, so that nobody waits for them but who sent them.
// A text that takes too long, or ends the thread, costs its sender that statement and the others a new
// thread. The queue is bounded. Ignorant of policy and sessions.

import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Limits } from '../sql/analyse.ts'
import type { Analysis, Statement } from '../sql/facts.ts'
import type { Page, Request } from './thread.ts'

export interface AsideOptions {
  /** For one text, from its turn on. */
  readonly limitMs?: number
  /** Texts that may wait for their turn. */
  readonly mostWaiting?: number
  /** Is told why a thread was given up. */
  readonly onProblem: (error: unknown) => void
}

interface Job {
  readonly text: string
  readonly limits: Limits
  readonly statements: Statement[]
  readonly resolve: (analysis: Analysis) => void
}

/** `.ts` from the sources, `.js` where they have been compiled. */
const threadFile = new URL(`./thread${extname(import.meta.url)}`, import.meta.url)

/** As much as the main thread has: whether a text is too deep must not hang on its length. */
const stackSizeMb = 1

/** A text that takes more costs its sender that statement, and not the whole process its memory. */
const maxOldGenerationSizeMb = 512

export class Aside {
  readonly #limitMs: number
  readonly #mostWaiting: number
  readonly #onProblem: (error: unknown) => void
  /** The first is being worked on. */
  readonly #jobs: Job[] = []
  #worker: Worker | undefined
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor({ limitMs = 10_000, mostWaiting = 64, onProblem }: AsideOptions) {
    this.#limitMs = limitMs
    this.#mostWaiting = mostWaiting
    this.#onProblem = onProblem
  }

  /**
   * Never rejects: a text that cannot be analysed, for whatever reason, is Unparsable. `gone` says that
   * nobody wants the answer any more: a client that sends and disconnects, again and again, must not
   * hold up the others.
   */
  analyse(text: string, limits: Limits, gone?: AbortSignal): Promise<Analysis> {
    if (this.#stopped || this.#jobs.length > this.#mostWaiting) {
      return Promise.resolve(tooComplex('too many long statements at once, try again'))
    }
    return new Promise((resolve) => {
      const job = { text, limits, statements: [], resolve }
      this.#jobs.push(job)
      gone?.addEventListener('abort', () => this.#drop(job), { once: true })
      if (this.#jobs.length === 1) this.#begin()
    })
  }

  /** Ends the thread; texts that wait, and those that still come, are refused. */
  async stop(): Promise<void> {
    this.#stopped = true
    const worker = this.#worker
    this.#worker = undefined
    clearTimeout(this.#timer)
    for (const { resolve } of this.#jobs.splice(0)) resolve(tooComplex('pgwarden is shutting down'))
    await worker?.terminate()
  }

  #begin(): void {
    const job = this.#jobs[0]
    if (job === undefined) return
    this.#timer = setTimeout(() => {
      this.#giveUp(new Error(`analysing a text took longer than ${this.#limitMs} ms`))
    }, this.#limitMs)
    this.#ask({ type: 'analyse', text: job.text, limits: job.limits })
  }

  #ask(request: Request): void {
    try {
      this.#worker ??= this.#spawn()
      this.#worker.postMessage(request)
    } catch (error) {
      // The system has no thread to give: that must not stop the queue.
      this.#giveUp(error)
    }
  }

  #spawn(): Worker {
    const worker = new Worker(threadFile, {
      resourceLimits: { stackSizeMb, maxOldGenerationSizeMb },
    })
    worker.unref()
    // What a thread says that was given up is not about the text that has its turn now.
    const whileInUse = (act: () => void): void => {
      if (worker === this.#worker) act()
    }
    worker.on('message', (page: Page) => whileInUse(() => this.#take(page)))
    worker.on('error', (error) => whileInUse(() => this.#giveUp(error)))
    worker.on('exit', () => whileInUse(() => this.#giveUp(new Error('the parsing thread ended'))))
    return worker
  }

  #take({ analysis, more }: Page): void {
    const job = this.#jobs[0]
    if (job === undefined) return
    if (analysis.type === 'unparsable') {
      this.#finish(analysis)
      return
    }
    for (const statement of analysis.statements) job.statements.push(statement)
    // Not at once: whoever else has something to do comes first.
    if (more) setImmediate(() => this.#continue(job))
    else this.#finish({ ...analysis, statements: job.statements })
  }

  #continue(job: Job): void {
    if (job === this.#jobs[0]) this.#ask({ type: 'more' })
  }

  #finish(analysis: Analysis): void {
    clearTimeout(this.#timer)
    this.#jobs.shift()?.resolve(analysis)
    this.#begin()
  }

  /** The thread is not to be used again, nor the text that it died of. */
  #giveUp(error: unknown): void {
    this.#onProblem(error)
    this.#endThread()
    this.#finish(tooComplex('statement is too complex'))
  }

  /** The thread cannot be told to stop what it is at, only ended. */
  #drop(job: Job): void {
    const at = this.#jobs.indexOf(job)
    if (at === -1) return
    const nobodyWaits = tooComplex('nobody waits for the statement any more')
    if (at === 0) {
      this.#endThread()
      this.#finish(nobodyWaits)
    } else {
      this.#jobs.splice(at, 1)
      job.resolve(nobodyWaits)
    }
  }

  #endThread(): void {
    const worker = this.#worker
    this.#worker = undefined
    void worker?.terminate()
  }
}

function tooComplex(message: string): Analysis {
  return { type: 'unparsable', code: 'statement_too_complex', message }
}
