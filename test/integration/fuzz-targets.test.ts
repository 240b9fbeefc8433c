// A hostile target behind the whole proxy, with clients that mean well: while pgwarden logs in, and in
// the session after. FUZZ_FRAMES makes it longer.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { encodeBackend } from '../../src/wire/backend-encoder.ts'
import { encodeFrontend } from '../../src/wire/frontend.ts'
import { anyBackend } from '../support/any-frame.ts'
import { build } from '../support/executable.ts'
import { fuzz, fuzzTimeoutMs } from '../support/fuzzing.ts'
import { HostileTarget, type Mischief } from '../support/hostile-target.ts'
import { mutateSequence } from '../support/mutation.ts'
import { ProxyHealth, type Vitals } from '../support/proxy-health.ts'
import { conversation, pick, type Random, randomSchema, seeded } from '../support/random-session.ts'
import { RawClient } from '../support/raw-client.ts'
import { sync } from '../support/scripted-session.ts'
import { checkStrangersAnswer } from '../support/strangers-answer.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

const groupSize = 8
/** The target has a second to let pgwarden in. */
const loginLimitMs = 8_000
const leaveLimitMs = 10_000
const growthLimit = 300 * 1024 * 1024
/** In the target's own errors, and nobody's business before the login. */
const mark = 'the target speaking'

let target: HostileTarget
let warden: Warden
let login: { readonly user: string; readonly password: string }
let health: ProxyHealth
let before: Vitals

beforeAll(async () => {
  await build()
  const adminUrl = inject('adminUrl')
  target = await HostileTarget.start(adminUrl)
  warden = await Warden.start(adminUrl, {
    ownProcess: true,
    schema: randomSchema,
    targetPort: target.port,
    shop: ['connectTimeout: 1s'],
  })
  login = await warden.login('read_limited_write')
  health = new ProxyHealth(warden, login)
  await health.serves()
  before = await health.vitals()
}, 60_000)
afterAll(async () => {
  await warden.stop()
  await target.stop()
})

const refusals = ['28P01', '53300', '57P03', '3D000', 'XX000'].map((C) =>
  encodeBackend({ type: 'errorResponse', fields: { S: 'FATAL', V: 'FATAL', C, M: mark } }),
)

describe('a hostile target', () => {
  it('can spoil its own login, and nobody hears what it says', {
    timeout: fuzzTimeoutMs,
  }, async () => {
    await fuzz(0.005, async (random) => {
      const stranger = (): Buffer => (random() < 0.2 ? pick(random, refusals) : anyBackend(random))
      return attack(random, {
        type: 'login',
        spoil: (frames) => mutateSequence(random, frames, stranger),
      })
    })
  })

  it('can end its own sessions, and holds nobody up', { timeout: fuzzTimeoutMs }, async () => {
    await fuzz(0.02, async (random) =>
      attack(random, {
        type: 'session',
        spoil: (frames) =>
          random() < 0.3 ? mutateSequence(random, frames, () => anyBackend(random)) : frames,
      }),
    )
  })

  it('leaves no session, no backend, no memory and no gap in the journal behind', async () => {
    await health.isEmpty()
    const { residentBytes } = await health.vitals()
    expect(residentBytes - before.residentBytes).toBeLessThan(growthLimit)
    expect(warden.run?.process.exitCode).toBe(null)
    await health.booksBalance()
  })
})

/** A group of clients meets the target in this mood; returns how many frames it has said. */
async function attack(random: Random, mischief: Mischief): Promise<number> {
  const { frames } = target
  target.mischief = mischief
  const clients = Array.from({ length: groupSize }, () => seeded(Math.floor(random() * 2 ** 32)))
  await Promise.all(clients.map(work))
  target.mischief = { type: 'none' }
  await health.serves()
  return Math.max(1, target.frames - frames)
}

/** Somebody who logs in and works, as far as that is possible, and then leaves. */
async function work(random: Random): Promise<void> {
  const client = await RawClient.dial(warden.port)
  const wire = WireClient.over(client.socket)
  wire.startup({ user: login.user, database: 'shop' })
  await wire.proves(login.password)
  const welcome = await wire.hears('readyForQuery', loginLimitMs).catch(() => undefined)
  if (welcome === undefined) {
    checkStrangersAnswer(client.heard, 'a token holder')
    expect(client.heard.toString()).not.toContain(mark)
    await client.leave(leaveLimitMs)
    return
  }
  client.socket.removeAllListeners('data')
  const session = RawClient.over(client.socket)
  for (let turns = Math.floor(random() * 4); turns >= 0; turns--) {
    const messages = [...conversation(random, () => ''), sync]
    session.say(Buffer.concat(messages.map(encodeFrontend)))
    // Whether an answer comes is the target's affair.
    await sleep(random() * 30)
  }
  // Who waits for an answer with its own side shut down may wait long here: these go altogether.
  if (random() < 0.5) session.vanish()
  else session.socket.destroy()
}
