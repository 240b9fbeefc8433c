import { generateKeyPairSync } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Checkpoint, isSigned, keyIdOf, readCheckpoint } from '../../src/audit/checkpoint.ts'
import { type CheckpointSigner, Checkpoints, signerOf } from '../../src/audit/checkpoints.ts'
import { Journal } from '../../src/audit/journal.ts'
import { Secret } from '../../src/secret.ts'
import { emptyChain, HeldClock, MemoryStorage, parseLine } from '../support/memory-journal.ts'

const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const pem = new Secret(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
const everyMs = 60_000

let storage: MemoryStorage
let journal: Journal
let clock: HeldClock
let told: { readonly made: number[]; readonly failed: unknown[] }

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  storage = new MemoryStorage()
  clock = new HeldClock()
  journal = new Journal(storage, emptyChain, clock)
  told = { made: [], failed: [] }
  await journal.record('"type":"proxy.start"')
})
afterEach(() => {
  vi.useRealTimers()
})

function checkpoints(signer: CheckpointSigner = signerOf(pem), limitMs = 10_000): Checkpoints {
  const observer = {
    made: (at: number) => told.made.push(at),
    failed: (error: unknown) => told.failed.push(error),
  }
  return new Checkpoints({ journal, signer, clock, everyMs, observer, limitMs })
}

const made = (): readonly (Checkpoint | undefined)[] =>
  storage.lines
    .filter((line) => line.includes('"type":"journal.checkpoint"'))
    .map((line) => readCheckpoint(Buffer.from(line)))

/** Until what was asked for is done, and `ms` of the timers later. */
async function later(ms = 0): Promise<void> {
  vi.advanceTimersByTime(ms)
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

/** A signer of which a test decides when it answers. */
function slowSigner() {
  const asked: (() => void)[] = []
  const quick = signerOf(pem)
  const signer: CheckpointSigner = {
    sign: async (text, signal) => {
      await new Promise<void>((resolve) => asked.push(resolve))
      return quick.sign(text, signal)
    },
  }
  return { asked, signer }
}

describe('checkpoints', () => {
  it('sign at the start what the chain is, for anybody with the public key to verify', async () => {
    checkpoints().start()
    await later()
    const [checkpoint] = made()
    if (checkpoint === undefined) throw new Error('there is none')
    const [first = ''] = storage.lines
    expect(checkpoint.of).toEqual({ sequence: 1, hash: parseLine(first)['hash'] })
    expect(checkpoint).toMatchObject({ at: '2026-01-02T03:04:05.678Z', key: keyIdOf(publicKey) })
    expect(isSigned(emptyChain.chainId, checkpoint, publicKey)).toBe(true)
    expect(isSigned('another chain ...', checkpoint, publicKey)).toBe(false)
    expect(told.made).toEqual([clock.now()])
  })

  it('are made again when something was recorded, and not when only they were', async () => {
    checkpoints().start()
    await later()
    await later(everyMs)
    await later(everyMs)
    expect(made()).toHaveLength(1)
    await journal.record('"type":"x"')
    await later(everyMs)
    expect(made().map((each) => each?.of.sequence)).toEqual([1, 3])
  })

  it('that were slow leave what came meanwhile to the next one', async () => {
    const { asked, signer } = slowSigner()
    checkpoints(signer).start()
    await journal.record('"type":"while it is signed"')
    asked[0]?.()
    await later()
    expect(made()[0]?.of.sequence).toBe(1)
    await later(everyMs)
    asked[1]?.()
    await later()
    expect(made()[1]?.of.sequence).toBe(3)
  })

  it('hold nobody up while a signer does not answer, and are given up after their time', async () => {
    const { signer } = slowSigner()
    checkpoints(signer, 5).start()
    await journal.record('"type":"statement"')
    await vi.waitFor(() => expect(told.failed).toHaveLength(1))
    expect(storage.lines).toHaveLength(2)
  })

  it('go on half a minute after a signer has failed', async () => {
    const quick = signerOf(pem)
    let isDown = true
    checkpoints({
      sign: (text, signal) =>
        isDown ? Promise.reject(new Error('sealed')) : quick.sign(text, signal),
    }).start()
    await later()
    expect(told.failed).toEqual([new Error('sealed')])
    isDown = false
    await later(30_000)
    expect(made()).toHaveLength(1)
  })

  it('are tried again after the journal could not be written', async () => {
    storage.failing = true
    checkpoints().start()
    await later()
    expect(told.failed).toHaveLength(1)
    storage.failing = false
    await later(30_000)
    expect(made()).toHaveLength(1)
  })

  it('that come minutes after they were asked for are not recorded', async () => {
    const { asked, signer } = slowSigner()
    checkpoints(signer).start()
    clock.wall += 5 * 60_000
    asked[0]?.()
    await later()
    expect(made()).toEqual([])
    expect(told.failed).toHaveLength(1)
  })

  it('end with one of the last record, and none after it', async () => {
    const signing = checkpoints()
    signing.start()
    await later()
    await journal.record('"type":"proxy.stop"')
    await signing.stop()
    expect(made().map((each) => each?.of.sequence)).toEqual([1, 3])
    await journal.record('"type":"journal.close"')
    await later(everyMs)
    expect(made()).toHaveLength(2)
  })

  it('do not keep the process from stopping when their signer does not answer', async () => {
    const { asked, signer } = slowSigner()
    const signing = checkpoints(signer)
    signing.start()
    await later()
    const startedAt = performance.now()
    await signing.stop()
    expect(performance.now() - startedAt).toBeLessThan(3_000)
    // The one under way, given up for the last one.
    expect(asked).toHaveLength(2)
    expect(told.failed).toHaveLength(1)
  })
})
