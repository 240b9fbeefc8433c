// When a session that is to end may be ended: the cases that one would get wrong, message by message.

import { beforeAll, describe, expect, it } from 'vitest'
import { loadParser } from '../../src/sql/analyse.ts'
import { encodeBackend } from '../../src/wire/backend-encoder.ts'
import { encodeFrontend } from '../../src/wire/frontend.ts'
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

const insert = sql('INSERT INTO t VALUES (1)')
const flush = { type: 'flush' } as const
const copyInResponse = { type: 'copyInResponse', format: 0, columnFormats: [0] } as const
const data = { type: 'copyData', data: Buffer.from('1\n') } as const

describe('a session that is drained', () => {
  it('can be ended at once when it does nothing', () => {
    const { session } = new Script()
    expect(session.drained).toBe(false)
    session.drain()
    expect(session.drained).toBe(true)
  })

  it('first hears the answer to what runs', () => {
    const script = new Script()
    script.client(insert)
    script.session.drain()
    expect(script.session.drained).toBe(false)
    script.upstream(complete('INSERT 0 1'))
    expect(script.session.drained).toBe(false)
    expect(script.upstream(ready())).toEqual([ready()])
    expect(script.session.drained).toBe(true)
    expect(script.records('outcome')).toMatchObject([{ result: 'ok' }])
  })

  it('neither runs nor records what the client says behind that', () => {
    const script = new Script()
    script.client(insert)
    script.session.drain()
    expect(script.client(sql('INSERT INTO t VALUES (2)'))).toEqual([])
    script.upstream(complete('INSERT 0 1'), ready())
    expect(script.client(sql('INSERT INTO t VALUES (3)'))).toEqual([])
    expect(script.session.drained).toBe(true)
    expect(script.records('statement')).toHaveLength(1)
  })

  it('finishes what was sent in one go before it was drained', () => {
    const script = new Script()
    script.client(insert, insert)
    script.session.drain()
    script.upstream(complete('INSERT 0 1'), ready())
    expect(script.session.drained).toBe(false)
    script.upstream(complete('INSERT 0 1'), ready())
    expect(script.session.drained).toBe(true)
  })

  it('goes on in a transaction until that is over, one answer at a time', () => {
    const script = new Script()
    script.client(sql('BEGIN'))
    script.upstream(complete('BEGIN'), ready('T'))
    script.session.drain()
    expect(script.session.drained).toBe(false)
    const next = sql('BEGIN')
    expect(script.client(insert, sql('COMMIT'), next)).toEqual([insert])
    script.upstream(complete('INSERT 0 1'), ready('T'))
    script.turn()
    expect(script.gotUpstream()).toEqual([sql('COMMIT')])
    script.upstream(complete('COMMIT'), ready())
    expect(script.session.drained).toBe(true)
    script.turn()
    expect(script.gotUpstream()).toEqual([])
    expect(script.records('statement')).toHaveLength(3)
  })

  it('waits for the end of a transaction that has failed', () => {
    const script = new Script()
    script.client(sql('BEGIN'))
    script.upstream(complete('BEGIN'), ready('T'))
    script.client(insert)
    script.session.drain()
    script.upstream(failed('23505'), ready('E'))
    expect(script.session.drained).toBe(false)
    script.client(sql('ROLLBACK'))
    script.upstream(complete('ROLLBACK'), ready())
    expect(script.session.drained).toBe(true)
  })

  it('waits for the Sync that commits what a Flush has had answered', () => {
    const script = new Script()
    script.client(parse('INSERT INTO t VALUES (1)'), bind(), execute(), flush)
    script.upstream({ type: 'parseComplete' }, { type: 'bindComplete' }, complete('INSERT 0 1'))
    script.session.drain()
    expect(script.session.idle).toBe(true)
    expect(script.session.drained).toBe(false)
    expect(script.client(sync)).toEqual([sync])
    script.upstream(ready())
    expect(script.session.drained).toBe(true)
  })

  it('takes the Sync behind an error, and the one behind a portal that is suspended', () => {
    for (const answer of [[failed('42601')], [row, { type: 'portalSuspended' } as const]]) {
      const script = new Script()
      script.client(parse('SELECT 1'), bind(), execute('', 1), flush)
      script.session.drain()
      script.upstream({ type: 'parseComplete' }, { type: 'bindComplete' }, ...answer)
      expect(script.session.drained).toBe(false)
      expect(script.client(sync)).toEqual([sync])
      script.upstream(ready())
      expect(script.session.drained).toBe(true)
    }
  })

  it('lets a Query that an error of the pipeline before it swallows have its Sync', () => {
    const script = new Script()
    script.client(parse('SELECT nowhere'), sql('SELECT 1'))
    script.session.drain()
    expect(script.client(sync)).toEqual([])
    script.upstream(failed('42703'))
    expect(script.gotUpstream()).toEqual([sync])
    script.upstream(ready())
    expect(script.session.drained).toBe(true)
  })

  it('takes the data of a COPY to its end', () => {
    const script = new Script()
    script.client(sql('COPY t FROM STDIN'))
    script.session.drain()
    expect(script.client(data)).toEqual([])
    script.upstream(copyInResponse)
    expect(script.gotUpstream()).toEqual([data])
    expect(script.client(data, { type: 'copyDone' })).toEqual([data, { type: 'copyDone' }])
    script.upstream(complete('COPY 2'), ready())
    expect(script.session.drained).toBe(true)
  })

  it('is not ended in the middle of a message of the server', () => {
    const script = new Script()
    const notification = encodeBackend({
      type: 'parameterStatus',
      name: 'application_name',
      value: 'x'.repeat(100),
    })
    script.session.fromUpstream(notification.subarray(0, 60))
    script.session.drain()
    const boundary = script.session.clientAtBoundary
    expect(script.session.drained).toBe(boundary)
    expect(script.client(insert)).toEqual([])
    script.session.fromUpstream(notification.subarray(60))
    expect(script.session.drained).toBe(true)
  })

  it('forgets half a message of the client, and what waits behind it', () => {
    const script = new Script()
    const bytes = encodeFrontend(insert)
    script.session.fromClient(bytes.subarray(0, 10))
    script.session.drain()
    expect(script.session.drained).toBe(true)
    script.session.fromClient(bytes.subarray(10))
    script.turn()
    expect(script.gotUpstream()).toEqual([])
    expect(script.records('statement')).toEqual([])
  })

  it('lets a client say good-bye', () => {
    const script = new Script()
    script.client(insert)
    script.session.drain()
    expect(script.client({ type: 'terminate' })).toEqual([{ type: 'terminate' }])
    expect(script.terminated).toBe(true)
  })
})
