// Hostile clients against the whole proxy and a real server: before the login, in the middle of it and
// in every state after it. FUZZ_FRAMES makes it longer.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { encodeFrontend, type FrontendMessage } from '../../src/wire/frontend.ts'
import {
  encodeCancelRequest,
  encodeGssEncRequest,
  encodeSslRequest,
  encodeStartup,
} from '../../src/wire/startup.ts'
import { anyFrontend } from '../support/any-frame.ts'
import { build } from '../support/executable.ts'
import { fuzz, fuzzTimeoutMs } from '../support/fuzzing.ts'
import { chunks, mutateSequence, randomBytes } from '../support/mutation.ts'
import { ProxyHealth, type Vitals } from '../support/proxy-health.ts'
import { conversation, pick, type Random, randomSchema, seeded } from '../support/random-session.ts'
import { RawClient } from '../support/raw-client.ts'
import { bind, execute, parse, sql, sync } from '../support/scripted-session.ts'
import { checkStrangersAnswer } from '../support/strangers-answer.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

/** At once; after each such group somebody honest must be served. */
const groupSize = 8
/** Longer than the longest statement takes, since a half-open client may wait for its end. */
const leaveLimitMs = 10_000
/** How much more memory may be held after any attack. */
const growthLimit = 300 * 1024 * 1024

let warden: Warden
let login: { readonly user: string; readonly password: string }
let health: ProxyHealth
let before: Vitals

beforeAll(async () => {
  await build()
  warden = await Warden.start(inject('adminUrl'), {
    ownProcess: true,
    schema: randomSchema,
    listen: ['startupTimeout: 2s'],
  })
  login = await warden.login('read_limited_write')
  health = new ProxyHealth(warden, login)
  await health.serves()
  before = await health.vitals()
}, 60_000)
afterAll(() => warden.stop())

const startup = (user: string): Buffer =>
  encodeStartup([
    ['user', user],
    ['database', 'shop'],
  ])
const password = (text: string): Buffer =>
  encodeFrontend({ type: 'password', data: Buffer.from(`${text}\0`) })
const saslInitial = Buffer.from('SCRAM-SHA-256\0\0\0\0\x20n,,n=,r=rOprNGfwEbeRWgbNEkqOxxxx')

/** Beginnings of connections that do not become sessions. */
const strangers: readonly (() => readonly Buffer[])[] = [
  () => [],
  () => [encodeSslRequest(), startup('x')],
  () => [encodeGssEncRequest(), encodeSslRequest(), startup('x')],
  () => [encodeCancelRequest(4711, Buffer.from('abcd'))],
  () => [startup(login.user), password('pgw_nobody_nothing')],
  () => [startup(login.user), encodeFrontend({ type: 'password', data: saslInitial })],
  () => [startup(login.user), password('wrong'), encodeFrontend(sql('SELECT 1'))],
]

/** What brings a session into each state. */
const states: readonly (readonly FrontendMessage[])[] = [
  [],
  [sql('BEGIN')],
  [sql('BEGIN'), sql('SELECT nowhere')],
  [parse('SELECT 1', 'n1'), bind('n1', 'p1'), execute('p1', 1), bind('n1')],
  [parse('SELECT 1', 'n1'), bind('n2'), execute()],
  [sql('COPY t FROM STDIN')],
  [parse('COPY t FROM STDIN'), bind(), execute(), sync],
  [sql('COPY t TO STDOUT')],
  [sql("SELECT repeat('x', 1000) FROM generate_series(1, 10000)")],
  [sql('SELECT pg_sleep(2)')],
  [sql('DROP TABLE t')],
]

/** PostgreSQL 18.4 dies of these when a failed Query has left an unnamed portal behind. */
const deadly = (['describe', 'close'] as const).map((type) =>
  encodeFrontend({ type, target: 'portal', name: '' }),
)

describe('a hostile client', () => {
  it('learns nothing before it has logged in, and holds nobody up', {
    timeout: fuzzTimeoutMs,
  }, async () => {
    await fuzz(0.01, async (random) => {
      const said = await Promise.all(
        group(random).map((one) => intrude(one, pick(one, strangers)())),
      )
      await health.serves()
      return total(said)
    })
  })

  it('breaks nothing in any state of its session, and holds nobody up', {
    timeout: fuzzTimeoutMs,
  }, async () => {
    await fuzz(0.02, async (random) => {
      const said = await Promise.all(group(random).map((one) => misuse(one, pick(one, states))))
      await health.serves()
      return total(said)
    })
  })

  it('leaves no session, no backend, no memory and no gap in the journal behind', async () => {
    await health.isEmpty()
    const { residentBytes } = await health.vitals()
    expect(residentBytes - before.residentBytes).toBeLessThan(growthLimit)
    expect(warden.run?.process.exitCode).toBe(null)
    await health.booksBalance()
  })
})

function group(random: Random): readonly Random[] {
  return Array.from({ length: groupSize }, () => seeded(Math.floor(random() * 2 ** 32)))
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0)
}

/** A stranger; returns how many frames it said. */
async function intrude(random: Random, valid: readonly Buffer[]): Promise<number> {
  const client = await RawClient.dial(warden.port)
  const frames = mutateSequence(random, valid, () => randomBytes(random, 80), 0)
  for (const frame of frames) {
    for (const chunk of chunks(random, frame)) client.say(chunk)
    // An answer is waited for as often as not.
    if (random() < 0.5) await sleep(random() * 20)
  }
  await part(random, client)
  checkStrangersAnswer(client.heard, 'a stranger')
  return frames.length
}

/** Somebody who has logged in; returns how many frames were said. */
async function misuse(random: Random, prelude: readonly FrontendMessage[]): Promise<number> {
  const { socket } = await WireClient.logIn(warden.port, login)
  socket.removeAllListeners('data')
  const client = RawClient.over(socket)
  client.say(Buffer.concat(prelude.map(encodeFrontend)))
  // Some do not read what they have asked for.
  if (random() < 0.3) socket.pause()
  await sleep(random() * 20)
  const valid = conversation(random, () => '').map(encodeFrontend)
  const frames = mutateSequence(random, valid, () => anyFrontend(random)).filter(
    (frame) => !deadly.some((other) => frame.equals(other)),
  )
  for (const chunk of chunks(random, Buffer.concat(frames))) {
    client.say(chunk)
    if (random() < 0.05) await sleep(random() * 10)
  }
  await part(random, client)
  return prelude.length + frames.length
}

async function part(random: Random, client: RawClient): Promise<void> {
  await sleep(random() * 20)
  if (random() < 0.3) client.vanish()
  else await client.leave(leaveLimitMs)
}
