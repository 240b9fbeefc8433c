// A root of its own: a worker, which has the data plane, and a chain of the journal. It does as the supervisor
// says, and ends when that is gone. Decides nothing.

import cluster from 'node:cluster'
import { setTimeout as sleep } from 'node:timers/promises'
import { workerChain } from '../audit/chain.ts'
import type { Journal } from '../audit/journal.ts'
import { type Config, parseConfig } from '../config/config.ts'
import { inForce } from '../config/reloading.ts'
import { Failure } from '../errors.ts'
import { isHeld } from '../journal/lock.ts'
import { loadParser } from '../sql/analyse.ts'
import type { AdjustableLog } from '../telemetry/log.ts'
import { packageVersion } from '../version.ts'
import { type OwnDataPlane, openDataPlane } from './data-plane.ts'
import { openGround } from './ground.ts'
import type { Prepared } from './in-force.ts'
import { journalWorks } from './journal.ts'
import { newRun } from './new-run.ts'
import { logOf, type Part, type Run } from './run.ts'
import { type Stops, stopsInOrder } from './stops.ts'
import { ShippedBySupervisor } from './worker-shipping.ts'
import type {
  Answer,
  ConfigText,
  FromWorker,
  Question,
  ToWorker,
  WordedProblem,
  WorkerData,
} from './worker-words.ts'

/** What may run on after a defect that nobody caught: the world is no longer what the code takes it for. */
const failingMs = 5_000
/** For the worker of a supervisor that was killed: it ends its sessions, and holds the chain until then. */
const predecessorMs = 20_000
const lookMs = 100

interface Serving {
  readonly run: Run
  readonly journal: Journal
  readonly dataPlane: OwnDataPlane
}

/** Resolves when it is said, or cannot be said any more. */
function say(words: FromWorker): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send?.(words, undefined, undefined, () => resolve())
    else resolve()
  })
}

const shipping = new ShippedBySupervisor(say)
let serving: Serving | undefined
/** What is under way: the start, and then nothing. */
let starting: Promise<void> = Promise.resolve()
let stops: Stops | undefined
/** Another configuration, that is waited for the word to go by. */
let prepared: Prepared | undefined
/** How often it was asked to prepare. */
let asked = 0
let ending: Promise<void> | undefined
/** Sessions have been given time enough to end. */
const enough = new AbortController()

async function begin({ number, of, started, read }: WorkerData): Promise<void> {
  const config = inForce(configOf(started), configOf(read))
  const log = (await logOf(config)).child({ worker: number })
  stops = stopsInOrder(log)
  process.on('uncaughtException', (error) => {
    log.error({ err: error }, 'a defect in pgwarden: this worker ends, and its sessions with it')
    setTimeout(() => process.exit(1), failingMs)
    serving?.dataPlane.fail()
    void end(1)
  })
  const part = { type: 'worker', number, of } as const
  serving = await serve(part, config, stops.started, log)
  const { ports } = serving.dataPlane
  log.info({ ports }, 'a worker is running')
  await say({ type: 'running', ports })
}

async function serve(
  part: Part & { readonly type: 'worker' },
  config: Config,
  started: Run['started'],
  log: AdjustableLog,
): Promise<Serving> {
  await loadParser()
  const run = await newRun(part, config, log, started)
  await untilFree(config.journal.directory, workerChain(part.number))
  const ground = await openGround(run, packageVersion(), shipping)
  return { run, journal: ground.journal, dataPlane: await openDataPlane(run, ground) }
}

function configOf({ file, text, files }: ConfigText): Config {
  return parseConfig(text, file, process.env, files)
}

async function untilFree(directory: string, chain: string): Promise<void> {
  for (let waited = 0; waited < predecessorMs && isHeld(directory, chain); waited += lookMs) {
    await sleep(lookMs)
  }
}

async function answerTo(question: Question): Promise<Answer> {
  const { type } = question
  if (serving === undefined) return { type: 'none', why: 'it is being started' }
  switch (type) {
    case 'works':
      return { type, problem: await problemOf(serving.journal) }
    case 'metrics':
      return { type, snapshot: await serving.run.metrics.snapshot() }
    case 'prepare':
      return { type, problem: await prepare(serving, question.config) }
  }
}

async function prepare(
  { run, journal }: Serving,
  config: ConfigText,
): Promise<WordedProblem | undefined> {
  prepared = undefined
  asked += 1
  const number = asked
  try {
    const done = await run.inForce.prepare(configOf(config), journal)
    // Who was asked again meanwhile is told to go by the later one.
    if (number === asked) prepared = done
    return undefined
  } catch (error) {
    return problemIn(error)
  }
}

async function problemOf(journal: Journal): Promise<string | undefined> {
  try {
    await journalWorks(journal)
    return undefined
  } catch (error) {
    return error instanceof Failure ? error.message : 'the journal cannot be written'
  }
}

async function drain(): Promise<void> {
  await starting
  const left = (await serving?.dataPlane.drain(enough.signal)) ?? 0
  await say({ type: 'drained', left })
}

/** Ends what there is in order, and this process. Once. */
function end(status: number): Promise<void> {
  ending ??= (async () => {
    await starting
    await stops?.stopAll()
    process.exit(status)
  })()
  return ending
}

function problemIn(error: unknown): WordedProblem {
  if (!(error instanceof Failure)) return { type: 'defect', message: String(error) }
  const { code, message, detail, hint } = error
  const text = { message, ...(detail && { detail }), ...(hint && { hint }) }
  return { type: 'failure', code, text }
}

function take(words: ToWorker): void {
  switch (words.type) {
    case 'begin':
      starting = begin(words.data).catch(async (error: unknown) => {
        await say({ type: 'failed', why: problemIn(error) })
        void end(1)
      })
      return
    case 'asked':
      void answerTo(words.question).then((answer) =>
        say({ type: 'answered', number: words.number, answer }),
      )
      return
    case 'reload':
      prepared?.takeOver()
      prepared = undefined
      return
    case 'shipped':
      shipping.shipped(words.upTo)
      return
    case 'drain':
      void drain()
      return
    case 'hurry':
      enough.abort()
      return
    case 'stop':
      void end(0)
      return
  }
}

// A terminal sends them to all processes of a run: the supervisor tells its workers when to stop.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => undefined)
// A worker whose supervisor is gone would be ended by node:cluster on the spot, with sessions that are told nothing.
if (cluster.worker !== undefined) cluster.worker.exitedAfterDisconnect = true
process.on('disconnect', () => void end(0))
process.on('message', take)
void say({ type: 'loaded' })
