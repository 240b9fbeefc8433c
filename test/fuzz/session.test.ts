// A logged-in session of which either side says anything: valid conversations, spoilt in their
// structure, from every state that a session can be in. FUZZ_FRAMES makes it longer.

import { beforeAll, describe, it } from 'vitest'
import { loadParser } from '../../src/sql/analyse.ts'
import { encodeBackend } from '../../src/wire/backend-encoder.ts'
import { encodeFrontend, type FrontendMessage } from '../../src/wire/frontend.ts'
import { anyBackend, anyFrontend } from '../support/any-frame.ts'
import { FuzzHouse, FuzzSession } from '../support/fuzz-session.ts'
import { fuzz, fuzzTimeoutMs } from '../support/fuzzing.ts'
import { mutateSequence, whole } from '../support/mutation.ts'
import { conversation, pick, type Random } from '../support/random-session.ts'
import { bind, execute, parse, ready, sql, sync } from '../support/scripted-session.ts'

beforeAll(loadParser)

const data: FrontendMessage = { type: 'copyData', data: Buffer.from('7\tseven\n') }
const many = 'SELECT generate_series(1, 100)'

/** What brings a session into each state. */
const states: Readonly<Record<string, readonly FrontendMessage[]>> = {
  'that is idle': [],
  'in a transaction': [sql('BEGIN')],
  'in a failed transaction': [sql('BEGIN'), sql('SELECT nowhere')],
  'in a pipeline': [parse('SELECT 1', 'n1'), bind('n1', 'p1'), execute('p1', 1), bind('n1')],
  'in a pipeline that has failed': [parse('SELECT 1', 'n1'), bind('n2'), execute()],
  'in COPY in': [sql('COPY t FROM STDIN'), data],
  'in COPY in by the extended protocol': [parse('COPY t FROM STDIN'), bind(), execute(), data],
  'in COPY out': [sql('COPY t TO STDOUT')],
  'in the middle of a result': [sql(many), sql(many)],
  'with a denied statement on its way': [sql('DROP TABLE t'), parse('TRUNCATE t'), bind()],
}

function spoken(random: Random): readonly Buffer[] {
  let marks = 0
  const messages = conversation(random, () => `/*${marks++ % 7}*/`)
  return mutateSequence(random, messages.map(encodeFrontend), () => anyFrontend(random))
}

describe('a session', () => {
  const house = new FuzzHouse()
  const share = 0.7 / Object.keys(states).length / 2

  describe.each(Object.entries(states))('%s', (_, prelude) => {
    it('survives any client', { timeout: fuzzTimeoutMs }, async () => {
      await fuzz(share, (random) => {
        const session = new FuzzSession(random, house)
        session.client(Buffer.concat(prelude.map(encodeFrontend)))
        if (random() < 0.5) session.settle()
        const frames = spoken(random)
        session.client(Buffer.concat(frames))
        // Every other client waits for all that it can get.
        if (random() < 0.5) session.client(encodeFrontend(sync))
        session.finish()
        return prelude.length + frames.length
      })
    })

    it('survives any server', { timeout: fuzzTimeoutMs }, async () => {
      await fuzz(share, (random) => {
        const spoil = (frames: readonly Buffer[]): readonly Buffer[] =>
          random() < 0.3 ? mutateSequence(random, frames, () => anyBackend(random)) : frames
        const session = new FuzzSession(random, house, spoil)
        session.client(Buffer.concat(prelude.map(encodeFrontend)))
        for (let turns = whole(random, 6); turns >= 0; turns--) {
          session.client(Buffer.concat(conversation(random, () => '').map(encodeFrontend)))
          if (random() < 0.2)
            session.server([pick(random, [encodeBackend(ready()), anyBackend(random)])])
          if (random() < 0.5) session.settle()
        }
        session.finish()
        return session.serverFrames
      })
    })
  })
})
