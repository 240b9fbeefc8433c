// Whoever connects from a load balancer's address: any bytes, in any pieces, broken off anywhere. Nothing is
// answered, nothing is waited for that has come, and what stands behind a header is still there.

import { setImmediate as turn } from 'node:timers/promises'
import { describe, it } from 'vitest'
import { Failure } from '../../src/errors.ts'
import { Intake } from '../../src/proxy/intake.ts'
import { readIntroduction } from '../../src/proxy/introduction.ts'
import { Line } from '../../src/proxy/line.ts'
import { fuzz, fuzzTimeoutMs } from '../support/fuzzing.ts'
import { MemorySocket } from '../support/memory-socket.ts'
import { chunks, randomBytes, whole } from '../support/mutation.ts'
import { proxyHeader, proxyLine } from '../support/proxy-header.ts'
import { pick, type Random } from '../support/random-session.ts'

const near = { family: 'ipv4', address: '192.0.2.1', port: 5 } as const
const far = { family: 'ipv6', address: '2001:db8::1', port: 65_535 } as const
const headers = [
  proxyLine(near),
  proxyLine(far),
  Buffer.from('PROXY UNKNOWN\r\n'),
  proxyHeader(near),
  proxyHeader(far, { checksum: true }),
  proxyHeader(undefined, { command: 0x20 }),
  proxyHeader(near, { extensions: Buffer.from('2000080700000000210000', 'hex') }),
]

describe('the reader of headers', () => {
  it('survives any bytes, and answers none', { timeout: fuzzTimeoutMs }, async () => {
    await fuzz(0.1, async (random) => {
      const spoilt = spoil(random, pick(random, headers))
      await read(random, Buffer.concat([spoilt, randomBytes(random, 300)]))
      return 1
    })
  })

  it('leaves what is behind a header to the client', { timeout: fuzzTimeoutMs }, async () => {
    await fuzz(0.05, async (random) => {
      const rest = randomBytes(random, 60)
      const { outcome, left } = await read(random, Buffer.concat([pick(random, headers), rest]))
      if (outcome !== 'introduced') throw new Error(`a valid header was ${outcome}`)
      if (!left.equals(rest)) throw new Error(`of ${rest.length} bytes ${left.length} are left`)
      return 1
    })
  })
})

/** One byte is another, or some are missing or too many. */
function spoil(random: Random, header: Buffer): Buffer {
  const at = whole(random, header.length)
  switch (whole(random, 4)) {
    case 0: {
      const bytes = Buffer.from(header)
      bytes[at] = whole(random, 256)
      return bytes
    }
    case 1:
      return header.subarray(0, at)
    case 2:
      return Buffer.concat([header.subarray(0, at), randomBytes(random, 9), header.subarray(at)])
    default:
      return randomBytes(random, 40)
  }
}

/** What became of a connection that says this and then nothing more, and what of it was not read. */
async function read(
  random: Random,
  bytes: Buffer,
): Promise<{ readonly outcome: 'introduced' | 'refused' | 'gone'; readonly left: Buffer }> {
  const socket = new MemorySocket({ allowHalfOpen: true })
  socket.on('error', () => undefined)
  const intake = new Intake(socket)
  const outcome = readIntroduction(new Line(socket), intake).then(
    (introduced) => (introduced ? ('introduced' as const) : ('gone' as const)),
    (error: unknown) => {
      if (error instanceof Failure) return 'refused' as const
      throw error
    },
  )
  const patient = random() < 0.5
  for (const chunk of chunks(random, bytes)) {
    socket.feed(chunk)
    if (patient) await turn()
  }
  socket.feedEnd()
  const settled = await outcome
  if (socket.written.length > 0) throw new Error('it was answered')
  const left = settled === 'introduced' ? await rest(intake, bytes.length) : Buffer.alloc(0)
  socket.destroy()
  return { outcome: settled, left }
}

/** All that the client says, which is no more than this. */
async function rest(intake: Intake, most: number): Promise<Buffer> {
  const said: Buffer[] = []
  for (let count = 0; count < most; count++) {
    const byte = await intake.bytes(1)
    if (byte === undefined) break
    said.push(byte)
  }
  return Buffer.concat(said)
}
