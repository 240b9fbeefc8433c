// What whoever ends a session may rely on: where the client's stream stands, and since when the session
// does what it does.

import { beforeAll, describe, expect, it } from 'vitest'
import { loadParser } from '../../src/sql/analyse.ts'
import { encodeBackend } from '../../src/wire/backend-encoder.ts'
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

const copyIn = encodeBackend({
  type: 'copyInResponse',
  format: 0,
  columnFormats: [0],
})
const foreign = encodeBackend({ type: 'authenticationOk' })

describe('an error of ours', () => {
  it('never stands in the middle of a message that the upstream spoils the next one of', () => {
    const script = new Script()
    script.client(sql('SELECT 1'))
    const answer = encodeBackend({ type: 'dataRow', values: [Buffer.alloc(1_000, 0x79)] })
    script.session.fromUpstream(answer.subarray(0, 500))
    expect(script.session.clientAtBoundary).toBe(false)
    expect(() =>
      script.session.fromUpstream(Buffer.concat([answer.subarray(500), foreign])),
    ).toThrow('does not belong')
    // The client has the whole row, so it can be told.
    expect(script.gotClient()).toEqual([{ type: 'dataRow', values: [Buffer.alloc(1_000, 0x79)] }])
    expect(script.session.clientAtBoundary).toBe(true)
  })

  it('can be told when the upstream breaks off in a message of which the client has nothing', () => {
    const script = new Script()
    script.client(sql('SELECT 1/0'))
    script.session.fromUpstream(encodeBackend(failed('22012')).subarray(0, 9))
    expect(script.gotClient()).toEqual([])
    expect(script.session.clientAtBoundary).toBe(true)
  })
})

describe('a session', () => {
  it('knows since when a transaction runs, whether of one statement or of a block', () => {
    const script = new Script()
    const at = (now: number): Script => {
      script.now = now
      return script
    }
    expect(script.session.transactionAt).toBeUndefined()
    at(1).client(sql('BEGIN'))
    expect(script.session.transactionAt).toBe(1)
    at(2).upstream(complete('BEGIN'), ready('T'))
    at(3).client(sql('SELECT 1'))
    at(4).upstream(row, complete('SELECT 1'), ready('T'))
    expect(script.session).toMatchObject({ transactionAt: 1, inTransaction: true, readyAt: 4 })
    at(5).client(sql('COMMIT'), sql('SELECT 2'))
    // The statement behind the COMMIT has a transaction of its own.
    at(6).upstream(complete('COMMIT'), ready())
    expect(script.session).toMatchObject({ transactionAt: 6, inTransaction: false, idle: false })
    at(7).upstream(row, complete('SELECT 1'), ready())
    expect(script.session).toMatchObject({ transactionAt: undefined, idle: true, readyAt: 7 })
    at(8).client(parse('SELECT 1'), bind(), execute())
    at(9).client(sync)
    expect(script.session.transactionAt).toBe(8)
  })

  it('knows whether the server reads COPY data', () => {
    const script = new Script({ role: 'read_full_write' })
    script.client(sql('COPY t FROM STDIN'))
    expect(script.session.copyingIn).toBe(false)
    script.session.fromUpstream(copyIn)
    expect(script.session).toMatchObject({ copyingIn: true, idle: false })
    script.client({ type: 'copyDone' })
    expect(script.session).toMatchObject({ copyingIn: false, idle: false })
  })
})
