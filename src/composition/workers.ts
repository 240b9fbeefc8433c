// The workers of a run as one: started and stopped together, watched, and asked how they are. What each of them
// does is worker-process.ts. Made with node:cluster: the supervisor listens and hands connections out in turn.
// Decides nothing.

import cluster, { type Worker } from 'node:cluster'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { workerChain } from '../audit/chain.ts'
import type { Config } from '../config/config.ts'
import { Failure } from '../errors.ts'
import { textOf } from '../telemetry/metrics.ts'
import { workerObserver } from '../telemetry/worker-observer.ts'
import type { DataPlane } from './data-plane.ts'
import type { Run } from './run.ts'
import type { Shipping } from './sinks.ts'
import { errorOf, type ProcessEvents, WorkerPlace, type WorkerProcess } from './worker-place.ts'
import type { Answer, ConfigText, FromWorker, ToWorker } from './worker-words.ts'

/** `.ts` from the sources, `.js` where they have been compiled. */
const processFile = new URL(`./worker-process${extname(import.meta.url)}`, import.meta.url)

const lookMs = 1_000
const prepareMs = 20_000
/** Longer than one of them is waited for. */
const worksWithinMs = 2_500

/** The data plane of a supervisor: other processes. @throws what one of them could not start for */
export async function openWorkers(run: Run, count: number, shipping: Shipping): Promise<DataPlane> {
  const { config, inForce, clock, log, started } = run
  // Structured clones know Infinity, which metrics and marks may be.
  cluster.setupPrimary({
    exec: fileURLToPath(processFile),
    args: [],
    serialization: 'advanced',
  })
  const meter = run.metrics.workers()
  const observer = workerObserver(meter, log)
  const places = Array.from({ length: count }, (_, at) => {
    const number = at + 1
    return new WorkerPlace({
      number,
      spawn: spawnWorker,
      begin: () => ({
        type: 'begin',
        data: { number, of: count, started: configText(config), read: configText(inForce.current) },
      }),
      stored: (sequence) => shipping.stored(workerChain(number), sequence),
      clock,
      observer,
    })
  })
  meter.counted(() => {
    const running = places.filter(({ serves }) => serves).length
    return { running, starting: count - running }
  })
  inForce.follow(async (wanted) => {
    await Promise.all(places.map((place) => prepared(place, wanted)))
    return () => {
      for (const place of places) place.reload()
    }
  })
  const looks = setInterval(() => {
    for (const place of places) {
      place.look()
      place.tell({ type: 'shipped', upTo: shipping.shippedUpTo(workerChain(place.number)) })
    }
  }, lookMs)
  started('workers', async () => {
    await Promise.all(places.map((place) => place.stop()))
    clearInterval(looks)
  })
  const [ports = []] = await Promise.all(places.map((place) => place.start()))
  const check = { name: 'workers', check: () => allWork(places), limitMs: worksWithinMs }
  return {
    ports,
    checks: [check],
    metricsText: async () => {
      const answers = await Promise.all(places.map((place) => place.ask({ type: 'metrics' })))
      const snapshots = answers.flatMap((answer) => {
        if (answer.type === 'metrics') return [answer.snapshot]
        meter.unanswered()
        return []
      })
      return textOf([await run.metrics.snapshot(), ...snapshots])
    },
    drain: async (signal) => sumOf(await Promise.all(places.map((place) => place.drain(signal)))),
  }
}

/** @throws Failure when the worker cannot go on with the configuration, or does not say so. */
async function prepared(place: WorkerPlace, wanted: Config): Promise<void> {
  const answer = await place.ask({ type: 'prepare', config: configText(wanted) }, prepareMs)
  if (answer.type === 'prepare') {
    if (answer.problem !== undefined) throw errorOf(answer.problem)
    return
  }
  // The next one begins with it.
  if (!place.serves) return
  throw new Failure('cannot_connect_now', {
    message: `worker ${place.number} did not say whether it can go on with the configuration`,
    hint: 'Nothing has changed. Reload again; if it stays like this, the log says what is wrong with the worker.',
  })
}

function configText({ source: { file, text, files } }: Config): ConfigText {
  const read = new Map([...files].map(([path, found]) => [path, found.reveal()]))
  return { file, text: text.reveal(), files: read }
}

function problemIn(answer: Answer): string | undefined {
  switch (answer.type) {
    case 'works':
      return answer.problem
    case 'none':
      return answer.why
    case 'metrics':
    case 'prepare':
      return 'it answers what it was not asked'
  }
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0)
}

/** @throws Failure that names those that cannot serve */
async function allWork(places: readonly WorkerPlace[]): Promise<void> {
  const found = await Promise.all(
    places.map(async (place) => {
      const answer = await place.ask({ type: 'works' })
      const problem = problemIn(answer)
      return problem === undefined ? [] : [`worker ${place.number}: ${problem}`]
    }),
  )
  const problems = found.flat()
  if (problems.length > 0) throw new Failure('cannot_connect_now', { message: problems.join('; ') })
}

function spawnWorker(events: ProcessEvents): WorkerProcess {
  const worker: Worker = cluster.fork()
  let hasEnded = false
  const ended = (how: string): void => {
    if (!hasEnded) events.ended(how)
    hasEnded = true
  }
  worker.on('message', (words: FromWorker) => events.heard(words))
  worker.on('exit', (status: number, signal: string | null) => {
    const how = signal ? `killed by ${signal}` : `exit status ${status}`
    // Its last words may not have been read yet.
    if (worker.isConnected()) worker.once('disconnect', () => ended(how))
    else ended(how)
  })
  // The system has no process to give, or one cannot be told anything.
  worker.on('error', (error: Error) => {
    if (worker.process.pid === undefined) ended(error.message)
  })
  return {
    pid: worker.process.pid,
    tell: (words: ToWorker) => {
      if (worker.isConnected()) worker.process.send(words, () => undefined)
    },
    kill: () => worker.process.kill('SIGKILL'),
  }
}
