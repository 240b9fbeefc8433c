// Whoever connects, before it is known who that is: any bytes, in any pieces, broken off anywhere. What
// comes back is fixed answers of pgwarden's own, and nothing is waited for that has come.

import { setImmediate as turn } from 'node:timers/promises'
import { describe, it } from 'vitest'
import { Failure } from '../../src/errors.ts'
import { Intake } from '../../src/proxy/intake.ts'
import { Line } from '../../src/proxy/line.ts'
import { readStartup } from '../../src/proxy/startup.ts'
import {
  encodeCancelRequest,
  encodeGssEncRequest,
  encodeSslRequest,
  encodeStartup,
} from '../../src/wire/startup.ts'
import { fuzz, fuzzTimeoutMs } from '../support/fuzzing.ts'
import { MemorySocket } from '../support/memory-socket.ts'
import { chunks, mutateSequence, randomBytes } from '../support/mutation.ts'
import { pick, type Random } from '../support/random-session.ts'

const packets = [
  encodeSslRequest(),
  encodeGssEncRequest(),
  encodeCancelRequest(4711, Buffer.from('abcd')),
  encodeCancelRequest(4711, Buffer.alloc(256, 1)),
  encodeStartup([
    ['user', 'alice'],
    ['database', 'shop'],
    ['application_name', 'psql'],
    ['options', '-c statement_timeout=5s --search_path=a\\ b'],
  ]),
  encodeStartup([['user', 'x'.repeat(9_000)]]),
  encodeStartup([
    ['user', 'alice'],
    ['_pq_.protocol_managed_params', 'x'],
  ]),
]

const openings = [
  [],
  [encodeSslRequest()],
  [encodeGssEncRequest()],
  [encodeSslRequest(), encodeGssEncRequest()],
  [encodeGssEncRequest(), encodeSslRequest()],
]

describe('the startup reader', () => {
  it('survives any bytes', { timeout: fuzzTimeoutMs }, async () => {
    await fuzz(0.1, async (random) => {
      const valid = [...pick(random, openings), pick(random, packets)]
      const frames = mutateSequence(random, valid, () => stranger(random), 0)
      await read(random, Buffer.concat(frames), random() < 0.5)
      return frames.length
    })
  })

  it('takes what is valid, whatever the pieces', { timeout: fuzzTimeoutMs }, async () => {
    await fuzz(0.02, async (random) => {
      const packet = pick(random, packets.slice(2))
      const outcome = await read(random, packet, random() < 0.5)
      if (outcome !== 'opened') throw new Error(`a valid packet was ${outcome}`)
      return 1
    })
  })
})

function stranger(random: Random): Buffer {
  return random() < 0.7 ? pick(random, packets) : randomBytes(random, 60)
}

type Outcome = 'opened' | 'refused' | 'gone'

/** What became of a connection that says this and then nothing more. */
async function read(random: Random, bytes: Buffer, patient: boolean): Promise<Outcome> {
  const socket = new MemorySocket({ allowHalfOpen: true })
  socket.on('error', () => undefined)
  const outcome = readStartup(new Line(socket), new Intake(socket), undefined).then(
    (opening): Outcome => (opening === undefined ? 'gone' : 'opened'),
    (error: unknown): Outcome => {
      if (error instanceof Failure) return 'refused'
      throw error
    },
  )
  for (const chunk of chunks(random, bytes)) {
    socket.feed(chunk)
    if (patient) await turn()
  }
  socket.feedEnd()
  const settled = await outcome
  const answered = Buffer.concat(socket.written).toString('latin1')
  if (!/^N{0,2}$/.test(answered)) throw new Error(`it answered ${JSON.stringify(answered)}`)
  socket.destroy()
  return settled
}
