// A session that is told to end somewhere in a conversation, and a client that knows nothing of it and
// goes on talking: it ends at the first transaction boundary, with every answer told and nothing begun.
// FUZZ_FRAMES makes it longer.

import { beforeAll, describe, it } from 'vitest'
import { loadParser } from '../../src/sql/analyse.ts'
import { encodeFrontend, type FrontendMessage } from '../../src/wire/frontend.ts'
import { FuzzHouse, FuzzSession } from '../support/fuzz-session.ts'
import { fuzz, fuzzTimeoutMs } from '../support/fuzzing.ts'
import { whole } from '../support/mutation.ts'
import { conversation, type Random } from '../support/random-session.ts'
import { bind, execute, parse, sql, sync } from '../support/scripted-session.ts'

beforeAll(loadParser)

const flush: FrontendMessage = { type: 'flush' }
/** Whatever is open is over behind these. */
const ending: readonly FrontendMessage[] = [
  { type: 'copyFail', message: 'enough' },
  sync,
  sql('ROLLBACK'),
]

/** Answered, and not done before there is a Sync. */
const uncommitted = Buffer.concat(
  [parse('DELETE FROM t'), bind(), execute(), flush].map(encodeFrontend),
)

function spoken(random: Random): readonly Buffer[] {
  const messages: FrontendMessage[] = []
  for (let turns = whole(random, 3); turns >= 0; turns--) {
    messages.push(...conversation(random, () => ''))
  }
  return messages.map(encodeFrontend)
}

describe('a session that is drained', () => {
  it('ends with its transaction, and loses no answer', { timeout: fuzzTimeoutMs }, async () => {
    const house = new FuzzHouse()
    await fuzz(0.1, (random) => {
      const session = new FuzzSession(random, house)
      const frames = spoken(random)
      const at = whole(random, frames.length)
      const behind = Buffer.concat(frames.slice(at))
      session.client(Buffer.concat(frames.slice(0, at)))
      if (random() < 0.3) session.client(uncommitted)
      if (random() < 0.3) session.settle()
      // Also in the middle of a message.
      const early = random() < 0.5 ? whole(random, behind.length) : 0
      session.client(behind.subarray(0, early))
      session.drain()
      session.client(behind.subarray(early))
      session.client(Buffer.concat(ending.map(encodeFrontend)))
      session.finish()
      if (!session.ended) throw new Error('it did not end')
      return frames.length
    })
  })
})
