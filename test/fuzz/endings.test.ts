// Sessions that end at any moment and in any way: each side may go, with or without a word, the grant may
// be over, cancels and the reading of long texts are under way. FUZZ_FRAMES makes it longer.

import { afterEach, beforeAll, beforeEach, describe, it, vi } from 'vitest'
import { loadParser } from '../../src/sql/analyse.ts'
import { encodeFrontend, type FrontendMessage } from '../../src/wire/frontend.ts'
import { FuzzRelay, RelayHouse } from '../support/fuzz-relay.ts'
import { fuzz, fuzzTimeoutMs } from '../support/fuzzing.ts'
import { whole } from '../support/mutation.ts'
import { conversation } from '../support/random-session.ts'
import { bind, execute, parse, sql, sync } from '../support/scripted-session.ts'

beforeAll(loadParser)
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const data: FrontendMessage = { type: 'copyData', data: Buffer.from('7\tseven\n') }

/** What brings a session into each state. */
const states: Readonly<Record<string, readonly FrontendMessage[]>> = {
  'that is idle': [],
  'with portals that nobody has executed': [
    sql('BEGIN'),
    parse('SELECT generate_series(1, 4)', 'n1'),
    ...['p1', 'p2', 'p3'].map((portal) => bind('n1', portal)),
    execute('p2', 1),
    sync,
  ],
  'in COPY in': [sql('COPY t FROM STDIN'), data],
  'in a pipeline that has failed': [parse('SELECT 1', 'n1'), bind('n2'), execute()],
  'with a long text that is being read': [sql(`SELECT 1 /*${'x'.repeat(70_000)}*/`)],
  'with a denied statement on its way': [sql('DROP TABLE t'), parse('TRUNCATE t'), bind()],
}

describe.each(Object.entries(states))('a session %s', (_, prelude) => {
  it('may end at any moment', { timeout: fuzzTimeoutMs }, async () => {
    const house = new RelayHouse()
    await fuzz(0.1 / Object.keys(states).length, async (random) => {
      const messages = [...prelude, ...conversation(random, () => '')]
      if (random() < 0.3) messages.splice(whole(random, messages.length), 0, { type: 'terminate' })
      const relay = new FuzzRelay(random, house, Buffer.concat(messages.map(encodeFrontend)))
      await relay.live()
      await relay.finish()
      return messages.length
    })
  })
})
