// One place among the workers: the process that fills it, and the next one when that has ended. Who dies young
// is followed more slowly each time; who says nothing for long hangs, and is killed. Ignorant of what workers do,
// and of how processes are made.

import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'
import type { Answer, FromWorker, Question, ToWorker, WordedProblem } from './worker-words.ts'

export interface WorkerProcess {
  readonly pid: number | undefined
  /** What cannot be said any more is dropped: the end of the process is heard of anyway. */
  tell(words: ToWorker): void
  kill(): void
}

export interface ProcessEvents {
  heard(words: FromWorker): void
  /** Once. `how`: with which status, or by which signal. */
  ended(how: string): void
}

/** Is told what becomes of workers, for metrics and the log. */
interface WorkersObserver {
  /** The next one is started in `restartMs`; undefined: none is. */
  died(worker: One & { readonly how: string; readonly restartMs: number | undefined }): void
  hangs(worker: One & { readonly silentSeconds: number }): void
  /** In the place of one that died. */
  replaced(worker: One): void
}

interface One {
  readonly number: number
  readonly pid: number | undefined
}

export interface PlaceOptions {
  readonly number: number
  /** Never calls back before it returns. */
  readonly spawn: (events: ProcessEvents) => WorkerProcess
  /** What each process is told first. */
  readonly begin: () => ToWorker
  /** How much of its chain is stored. */
  readonly stored: (sequence: number) => void
  readonly clock: Clock
  readonly observer: WorkersObserver
}

/** Who has served for so long did not die of how it was started. */
const youngMs = 5_000
const leastRestartMs = 500
const longestRestartMs = 30_000
/** In looks, one a second: while the whole machine stands still none is taken. */
const mostSilentLooks = 30
/** Each step of a start has a limit of its own; this is for what nobody thought of. */
const mostStartingLooks = 120
/** Longer than a worker takes to end its sessions and give back its logins. */
const stopMs = 20_000
const answerMs = 2_000

interface Start {
  readonly resolve: (ports: readonly number[]) => void
  readonly reject: (problem: Error) => void
}

export class WorkerPlace {
  readonly #options: PlaceOptions
  readonly #questions = new Map<number, (answer: Answer) => void>()
  #asked = 0
  #process: WorkerProcess | undefined
  /** The one that has said that it can go on with another configuration. */
  #prepared: WorkerProcess | undefined
  #serves = false
  #servedSince = 0
  #silentLooks = 0
  #startingLooks = 0
  /** Deaths in a row. */
  #deaths = 0
  /** Of the first process of all: when that fails nobody tries again. */
  #start: Start | undefined
  #problem: WordedProblem | undefined
  #restart: NodeJS.Timeout | undefined
  /** Whoever ends now is not followed by another. */
  #isLast = false
  #whenDrained: ((left: number) => void) | undefined
  #whenGone: (() => void) | undefined

  constructor(options: PlaceOptions) {
    this.#options = options
  }

  get number(): number {
    return this.#options.number
  }

  get serves(): boolean {
    return this.#serves
  }

  /** Resolves with the ports that are listened on. @throws what the first process could not start for. */
  start(): Promise<readonly number[]> {
    return new Promise((resolve, reject) => {
      this.#start = { resolve, reject }
      this.#begin()
    })
  }

  tell(words: ToWorker): void {
    this.#process?.tell(words)
  }

  /** Never rejects, and does not wait for longer. */
  ask(question: Question, limitMs = answerMs): Promise<Answer> {
    if (question.type === 'prepare') this.#prepared = undefined
    if (!this.#serves) return Promise.resolve({ type: 'none', why: 'it is being started' })
    this.#asked += 1
    const number = this.#asked
    const asked = this.#process
    return new Promise((resolve) => {
      const late = setTimeout(() => {
        answered({ type: 'none', why: `it does not answer within ${limitMs} ms` })
      }, limitMs)
      const answered = (answer: Answer): void => {
        clearTimeout(late)
        this.#questions.delete(number)
        if (answer.type === 'prepare' && answer.problem === undefined) this.#prepared = asked
        resolve(answer)
      }
      this.#questions.set(number, answered)
      this.tell({ type: 'asked', number, question })
    })
  }

  /**
   * What was prepared is to be gone by. Who has prepared nothing began with what was before, though it may serve
   * by now, and would go on by rules that hold no more: it begins again.
   */
  reload(): void {
    if (this.#process === this.#prepared) this.tell({ type: 'reload' })
    else this.#process?.kill()
  }

  /** To be called once a second. */
  look(): void {
    if (this.#process === undefined) return
    this.#silentLooks += 1
    if (!this.#serves) this.#startingLooks += 1
    const isLate = !this.#serves && this.#startingLooks > mostStartingLooks
    if (this.#silentLooks <= mostSilentLooks && !isLate) return
    const { number, observer } = this.#options
    observer.hangs({ number, pid: this.#process.pid, silentSeconds: this.#silentLooks - 1 })
    this.#silentLooks = 0
    this.#startingLooks = 0
    this.#process.kill()
  }

  /** Nobody comes in here any more. Resolves with how many sessions are left, at once when `signal` says so. */
  async drain(signal: AbortSignal): Promise<number> {
    this.#isLast = true
    clearTimeout(this.#restart)
    if (!this.#serves) {
      await this.stop()
      return 0
    }
    const hurry = (): void => this.tell({ type: 'hurry' })
    const left = new Promise<number>((resolve) => {
      this.#whenDrained = resolve
    })
    this.tell({ type: 'drain' })
    if (signal.aborted) hurry()
    signal.addEventListener('abort', hurry, { once: true })
    try {
      return await left
    } finally {
      signal.removeEventListener('abort', hurry)
    }
  }

  /** Tells the process to stop, and waits for its end; one that takes too long is killed. */
  async stop(): Promise<void> {
    this.#isLast = true
    clearTimeout(this.#restart)
    const process = this.#process
    if (process === undefined) return
    await new Promise<void>((resolve) => {
      const impatient = setTimeout(() => process.kill(), stopMs)
      this.#whenGone = () => {
        clearTimeout(impatient)
        resolve()
      }
      process.tell({ type: 'stop' })
    })
  }

  #begin(): void {
    this.#silentLooks = 0
    this.#startingLooks = 0
    this.#problem = undefined
    this.#process = this.#options.spawn({
      heard: (words) => this.#take(words),
      ended: (how) => this.#ended(how),
    })
  }

  #take(words: FromWorker): void {
    this.#silentLooks = 0
    switch (words.type) {
      case 'loaded':
        this.tell(this.#options.begin())
        return
      case 'here':
        if (words.stored !== undefined) this.#options.stored(words.stored)
        return
      case 'running':
        this.#running(words.ports)
        return
      case 'drained':
        this.#whenDrained?.(words.left)
        return
      case 'failed':
        this.#problem = words.why
        return
      case 'answered':
        this.#questions.get(words.number)?.(words.answer)
        return
    }
  }

  #running(ports: readonly number[]): void {
    const { clock, observer, number } = this.#options
    this.#serves = true
    this.#servedSince = clock.elapsed()
    if (this.#start === undefined) observer.replaced({ number, pid: this.#process?.pid })
    this.#start?.resolve(ports)
    this.#start = undefined
  }

  #ended(how: string): void {
    const { clock, observer, number } = this.#options
    const pid = this.#process?.pid
    const served = this.#serves ? clock.elapsed() - this.#servedSince : 0
    this.#process = undefined
    this.#serves = false
    for (const answered of [...this.#questions.values()]) answered({ type: 'none', why: how })
    this.#whenDrained?.(0)
    this.#whenGone?.()
    if (this.#start !== undefined) {
      this.#start.reject(startProblem(number, this.#problem, how))
      this.#start = undefined
      return
    }
    if (this.#whenGone !== undefined) return
    if (served >= youngMs) this.#deaths = 0
    const restartMs = this.#isLast ? undefined : restartAfter(this.#deaths)
    this.#deaths += 1
    const said = this.#problem === undefined ? how : sentenceOf(this.#problem)
    observer.died({ number, pid, how: said, restartMs })
    if (restartMs !== undefined) this.#restart = setTimeout(() => this.#begin(), restartMs)
  }
}

/** At once, and when that did not last after a time that doubles. */
function restartAfter(deaths: number): number {
  if (deaths === 0) return 0
  return Math.min(leastRestartMs * 2 ** (deaths - 1), longestRestartMs)
}

export function errorOf(problem: WordedProblem): Error {
  return problem.type === 'failure'
    ? new Failure(problem.code, problem.text)
    : new Error(problem.message)
}

function sentenceOf(problem: WordedProblem): string {
  return problem.type === 'failure' ? problem.text.message : problem.message
}

function startProblem(number: number, problem: WordedProblem | undefined, how: string): Error {
  if (problem?.type === 'failure') return errorOf(problem)
  const why = problem?.message ?? how
  return new Error(`worker ${number} ended before it served: ${why}`)
}
