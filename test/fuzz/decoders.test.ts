// Every decoder, on frames that are spoilt: it returns a message or throws a Failure, and what a
// client's was read as is read the same when it is written again.

import { isDeepStrictEqual } from 'node:util'
import { describe, it } from 'vitest'
import { Failure } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'
import {
  decodeBackend,
  decodeCommandTag,
  decodeErrorFields,
  decodeParameterStatus,
  decodeParameterTypes,
  decodeStatus,
  upstreamFrames,
  upstreamLoginFrames,
} from '../../src/wire/backend.ts'
import { encodeBackend } from '../../src/wire/backend-encoder.ts'
import { decodeBindValues } from '../../src/wire/bind-values.ts'
import { FrameReader, type FrameTable } from '../../src/wire/frames.ts'
import {
  decodeBindHead,
  decodeExecute,
  decodeFrontend,
  decodeParse,
  decodeQuery,
  decodeTarget,
  encodeFrontend,
  loginFrames,
  sessionFrames,
} from '../../src/wire/frontend.ts'
import { ScramClient } from '../../src/wire/scram-client.ts'
import { decodeOptions } from '../../src/wire/startup.ts'
import { anyBackend, anyFrontend } from '../support/any-frame.ts'
import { fuzz, fuzzTimeoutMs } from '../support/fuzzing.ts'
import { chunks, mutateFrame, mutateSequence, randomBytes } from '../support/mutation.ts'
import { pick, type Random } from '../support/random-session.ts'

type Decode = (bytes: Buffer, start: number, end: number) => unknown

/** What it returns; undefined where it throws a Failure. Anything else is a defect. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (error instanceof Failure) return undefined
    throw error
  }
}

/** A decoder is given the frame where it lies among others, whose bytes are none of its business. */
function surrounded(random: Random, frame: Buffer, decode: Decode): void {
  const before = randomBytes(random, 3)
  const bytes = Buffer.concat([before, frame, randomBytes(random, 10)])
  attempt(() => decode(bytes, before.length, before.length + frame.length))
}

const clientDecoders: readonly Decode[] = [
  decodeQuery,
  decodeParse,
  decodeExecute,
  decodeTarget,
  (bytes, start, end) => decodeBindHead(bytes, start, end, true),
  (bytes, start, end) => decodeBindHead(bytes, start, end, false),
  (bytes, start, end) => decodeBindValues(bytes, start, end, 3),
]
const serverDecoders: readonly Decode[] = [
  decodeCommandTag,
  decodeStatus,
  decodeParameterStatus,
  decodeParameterTypes,
  decodeErrorFields,
]

describe('the decoders', () => {
  it('survive any message of a client', { timeout: fuzzTimeoutMs }, async () => {
    await fuzz(0.06, (random) => {
      const frame = mutateFrame(random, anyFrontend(random))
      if (frame.length < 5) return 1
      for (const decode of clientDecoders) surrounded(random, frame, decode)
      const message = attempt(() => decodeFrontend(frame, 0, frame.length))
      if (message === undefined) return 1
      const again = encodeFrontend(message)
      if (!isDeepStrictEqual(decodeFrontend(again, 0, again.length), message)) {
        throw new Error(`a ${message.type} message is read in two ways`)
      }
      return 1
    })
  })

  it('survive any message of a server', { timeout: fuzzTimeoutMs }, async () => {
    await fuzz(0.06, (random) => {
      const frame = mutateFrame(random, anyBackend(random))
      if (frame.length < 5) return 1
      for (const decode of serverDecoders) surrounded(random, frame, decode)
      const message = attempt(() => decodeBackend(frame, 0, frame.length))
      if (message !== undefined) encodeBackend(message)
      return 1
    })
  })

  it('survive any `options` and any SCRAM message of a server', {
    timeout: fuzzTimeoutMs,
  }, async () => {
    await fuzz(0.01, async (random) => {
      attempt(() => decodeOptions(randomBytes(random, 40).toString('latin1')))
      const scram = new ScramClient({
        password: new Secret('password'),
        binding: { type: 'none' },
        nonce: 'nonce',
      })
      const nonce = flipped(random, 'r=nonceserver')
      const salt = flipped(random, 's=c2FsdA==')
      // Never many: each iteration costs time.
      const iterations = pick(random, ['1', '2', '0', '-1', '1e3', '99999999', ''])
      const first = Buffer.from(`${nonce},${salt},i=${iterations}`, 'latin1')
      await scram.final(first).catch((error: unknown) => {
        if (!(error instanceof Failure)) throw error
      })
      attempt(() => scram.verify(Buffer.from(flipped(random, 'v=c2lnbmF0dXJl'), 'latin1')))
      return 3
    })
  })
})

describe('the frame reader', () => {
  const tables: readonly FrameTable[] = [
    sessionFrames(4_096),
    sessionFrames(4_096, true),
    loginFrames(4_096),
    upstreamFrames,
    upstreamLoginFrames,
  ]

  it('announces every byte once and in order, or refuses', { timeout: fuzzTimeoutMs }, async () => {
    await fuzz(0.05, (random) => {
      const kind = random() < 0.5 ? anyFrontend : anyBackend
      const valid = Array.from({ length: 10 }, () => kind(random))
      const frames = mutateSequence(random, valid, () => kind(random))
      const stream = Buffer.concat(frames)
      const seen: Buffer[] = []
      const add = (bytes: Buffer, start: number, end: number): void => {
        seen.push(Buffer.from(bytes.subarray(start, end)))
      }
      const reader = new FrameReader(pick(random, tables), {
        begin: (_type, _size, bytes, start, end) => {
          add(bytes, start, end)
          return true
        },
        rest: add,
      })
      attempt(() => chunks(random, stream).forEach((chunk) => void reader.push(chunk)))
      const read = Buffer.concat(seen)
      if (!read.equals(stream.subarray(0, read.length))) throw new Error('bytes were changed')
      return frames.length
    })
  })
})

/** With one bit turned, every other time. */
function flipped(random: Random, text: string): string {
  const bytes = Buffer.from(text)
  const at = Math.floor(random() * bytes.length * 2)
  if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8))
  return bytes.toString('latin1')
}
