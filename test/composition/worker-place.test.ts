// One place among the workers, with processes that are only pretended.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  type ProcessEvents,
  WorkerPlace,
  type WorkerProcess,
} from '../../src/composition/worker-place.ts'
import type { FromWorker, ToWorker } from '../../src/composition/worker-words.ts'

class FakeProcess implements WorkerProcess {
  readonly pid: number
  readonly told: ToWorker[] = []
  killed = false
  readonly #events: ProcessEvents

  constructor(pid: number, events: ProcessEvents) {
    this.pid = pid
    this.#events = events
  }

  tell(words: ToWorker): void {
    this.told.push(words)
  }

  kill(): void {
    this.killed = true
    this.end('killed by SIGKILL')
  }

  says(words: FromWorker): void {
    this.#events.heard(words)
  }

  serves(): void {
    this.says({ type: 'loaded' })
    this.says({ type: 'running', ports: [6432] })
  }

  end(how: string): void {
    this.#events.ended(how)
  }
}

const processes: FakeProcess[] = []
const deaths: { readonly how: string; readonly restartMs: number | undefined }[] = []
let hung = 0
let replaced = 0
let stored = 0

beforeEach(() => {
  vi.useFakeTimers()
  processes.length = 0
  deaths.length = 0
  hung = 0
  replaced = 0
  stored = 0
})
afterEach(() => {
  vi.useRealTimers()
})

describe('a worker', () => {
  it('is told what to do when it listens, and resolves the start with its ports', async () => {
    const place = newPlace()
    const started = place.start()
    expect(latest().told).toEqual([])
    latest().serves()
    expect(latest().told).toEqual([begin])
    expect(await started).toEqual([6432])
    expect(place.serves).toBe(true)
  })

  it('that cannot start at first is not started again, and its sentence is the reason', async () => {
    const started = newPlace().start()
    const text = { message: 'port 6432 is in use by another program' }
    latest().says({ type: 'failed', why: { type: 'failure', code: 'invalid_configuration', text } })
    latest().end('exit status 1')
    await expect(started).rejects.toThrow(text.message)
    vi.advanceTimersByTime(120_000)
    expect(processes).toHaveLength(1)
  })

  it('is replaced at once when it has served for a while, and more and more slowly when it dies young', async () => {
    await startedPlace()
    for (let death = 0; death < 8; death++) {
      latest().end('killed by SIGKILL')
      vi.advanceTimersByTime(30_000)
      latest().serves()
    }
    expect(deaths.map(({ restartMs }) => restartMs)).toEqual([
      0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000,
    ])
    vi.advanceTimersByTime(5_000)
    latest().end('exit status 1')
    expect(deaths.at(-1)).toMatchObject({ how: 'exit status 1', restartMs: 0 })
    expect(replaced).toBe(8)
  })

  it('that says nothing for half a minute is killed and replaced', async () => {
    const place = await startedPlace()
    look(place, 30)
    latest().says({ type: 'here', stored: 7 })
    expect(stored).toBe(7)
    look(place, 30)
    expect(hung).toBe(0)
    const [first] = processes
    look(place, 1)
    expect(hung).toBe(1)
    expect(first?.killed).toBe(true)
    vi.advanceTimersByTime(0)
    expect(processes).toHaveLength(2)
  })

  it('that never comes to serve is killed, however lively it is', async () => {
    const place = await startedPlace()
    latest().end('exit status 1')
    vi.advanceTimersByTime(0)
    for (let looks = 0; looks < 121; looks++) {
      latest().says({ type: 'here', stored: undefined })
      look(place, 1)
    }
    expect(hung).toBe(1)
  })

  it('that does not answer within two seconds is gone on without; so is one that ends meanwhile', async () => {
    const place = await startedPlace()
    const late = place.ask({ type: 'works' })
    vi.advanceTimersByTime(2_000)
    expect(await late).toEqual({ type: 'none', why: 'it does not answer within 2000 ms' })
    const ended = place.ask({ type: 'works' })
    latest().end('killed by SIGKILL')
    expect(await ended).toEqual({ type: 'none', why: 'killed by SIGKILL' })
    expect(await place.ask({ type: 'works' })).toEqual({
      type: 'none',
      why: 'it is being started',
    })
  })

  it('gets each answer to its own question', async () => {
    const place = await startedPlace()
    const [one, other] = [place.ask({ type: 'works' }), place.ask({ type: 'works' })]
    latest().says({ type: 'answered', number: 2, answer: { type: 'works', problem: 'full' } })
    latest().says({ type: 'answered', number: 1, answer: { type: 'works', problem: undefined } })
    expect(await one).toEqual({ type: 'works', problem: undefined })
    expect(await other).toEqual({ type: 'works', problem: 'full' })
  })

  it('goes by another configuration when it has said that it can', async () => {
    const place = await startedPlace()
    await prepares(place)
    place.reload()
    expect(latest().told.at(-1)).toEqual({ type: 'reload' })
    expect(latest().killed).toBe(false)
  })

  it('that came to serve while the others prepared does not go on with what it began with', async () => {
    const place = await startedPlace()
    latest().end('exit status 1')
    vi.advanceTimersByTime(0)
    latest().says({ type: 'loaded' })
    expect(await place.ask({ type: 'prepare', config })).toMatchObject({ type: 'none' })
    latest().says({ type: 'running', ports: [6432] })
    place.reload()
    expect(latest().killed).toBe(true)
  })

  it('that took the place of one that had prepared does not go on with what it began with', async () => {
    const place = await startedPlace()
    await prepares(place)
    latest().end('killed by SIGKILL')
    vi.advanceTimersByTime(0)
    latest().serves()
    place.reload()
    expect(latest().killed).toBe(true)
  })

  it('drains until it is done or until it is told to hurry, and is not replaced when it ends', async () => {
    const place = await startedPlace()
    const enough = new AbortController()
    const left = place.drain(enough.signal)
    expect(latest().told.at(-1)).toEqual({ type: 'drain' })
    enough.abort()
    expect(latest().told.at(-1)).toEqual({ type: 'hurry' })
    latest().says({ type: 'drained', left: 3 })
    expect(await left).toBe(3)
    latest().end('killed by SIGKILL')
    vi.advanceTimersByTime(120_000)
    expect(processes).toHaveLength(1)
    expect(deaths).toEqual([{ number: 1, pid: 1, how: 'killed by SIGKILL', restartMs: undefined }])
  })

  it('that dies while it drains leaves nobody waiting', async () => {
    const place = await startedPlace()
    const left = place.drain(new AbortController().signal)
    latest().end('killed by SIGKILL')
    expect(await left).toBe(0)
    await place.stop()
  })

  it('that is told to stop and does not is killed in the end', async () => {
    const place = await startedPlace()
    const stopped = place.stop()
    expect(latest().told.at(-1)).toEqual({ type: 'stop' })
    vi.advanceTimersByTime(19_999)
    expect(latest().killed).toBe(false)
    vi.advanceTimersByTime(1)
    await stopped
    expect(latest().killed).toBe(true)
    expect(deaths).toEqual([])
  })

  it('that waits to be replaced is not when everything stops', async () => {
    const place = await startedPlace()
    latest().end('exit status 1')
    await place.stop()
    vi.advanceTimersByTime(120_000)
    expect(processes).toHaveLength(1)
  })
})

const config = { file: 'f', text: '', files: new Map<string, string>() }

const begin: ToWorker = {
  type: 'begin',
  data: { number: 1, of: 2, started: config, read: config },
}

async function prepares(place: WorkerPlace): Promise<void> {
  const answer = place.ask({ type: 'prepare', config })
  latest().says({ type: 'answered', number: 1, answer: { type: 'prepare', problem: undefined } })
  expect(await answer).toEqual({ type: 'prepare', problem: undefined })
}

function newPlace(): WorkerPlace {
  return new WorkerPlace({
    number: 1,
    spawn: (events) => {
      const made = new FakeProcess(processes.length + 1, events)
      processes.push(made)
      return made
    },
    begin: () => begin,
    stored: (sequence) => {
      stored = sequence
    },
    clock: { now: () => Date.now(), elapsed: () => performance.now() },
    observer: {
      died: (worker) => void deaths.push(worker),
      hangs: () => {
        hung += 1
      },
      replaced: () => {
        replaced += 1
      },
    },
  })
}

async function startedPlace(): Promise<WorkerPlace> {
  const place = newPlace()
  const started = place.start()
  latest().serves()
  await started
  return place
}

function latest(): FakeProcess {
  const process = processes.at(-1)
  if (process === undefined) throw new Error('there is no process yet')
  return process
}

function look(place: WorkerPlace, times: number): void {
  for (let at = 0; at < times; at++) place.look()
}
