import { beforeAll, expect, it } from 'vitest'
import { loadParser } from '../../src/sql/analyse.ts'
import type { BackendMessage } from '../../src/wire/backend.ts'
import {
  bind,
  complete,
  execute,
  failed,
  parse,
  ready,
  row,
  Script,
  sql,
  sync,
} from '../support/scripted-session.ts'

beforeAll(loadParser)

const anytime: readonly BackendMessage[] = [
  { type: 'noticeResponse', fields: { S: 'NOTICE', V: 'NOTICE', C: '00000', M: 'by the way' } },
  { type: 'notificationResponse', processId: 7, channel: 'c', payload: 'news' },
  { type: 'parameterStatus', name: 'TimeZone', value: 'Europe/Berlin' },
]

/** A conversation: what the client says at once, and what the server answers. */
const says = [
  sql('SELECT 1'),
  sql('DROP TABLE t'),
  parse('SELECT 1'),
  bind(),
  execute(),
  sync,
  sql('COPY t FROM STDIN'),
] as const
const hears: readonly BackendMessage[] = [
  row,
  complete('SELECT 1'),
  ready(),
  failed('42601'),
  ready(),
  { type: 'parseComplete' },
  { type: 'bindComplete' },
  row,
  complete('SELECT 1'),
  ready(),
  { type: 'copyInResponse', format: 0, columnFormats: [0] },
  failed('22P02'),
  ready(),
]

it.each(anytime)(
  'a $type at any moment goes to the client where it came, and answers nothing',
  (message) => {
    for (let at = 0; at <= hears.length; at++) {
      const script = new Script()
      script.client(...says)
      const sent = [...hears.slice(0, at), message, message, ...hears.slice(at)]
      const got = sent.flatMap((one) => script.upstream(one))
      expect(got.map(({ type }) => type)).toEqual(sent.map(({ type }) => type))
      expect(got[at]).toEqual(message)
      // The denied DROP is still the one that is answered with our error.
      const errors = got.filter((one) => one.type === 'errorResponse')
      expect(errors).toMatchObject([{ fields: { C: '42501' } }, { fields: { C: '22P02' } }])
      expect(script.session.idle).toBe(true)
      expect(script.records('outcome').map(({ result }) => result)).toEqual(['ok', 'ok', 'error'])
    }
  },
)
