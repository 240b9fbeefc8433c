// pg-protocol is the oracle: it reads what we write and we read what it writes.

import fc from 'fast-check'
import { serialize } from 'pg-protocol'
import { Parser } from 'pg-protocol/dist/parser.js'
import { describe, expect, it } from 'vitest'
import { Failure } from '../../src/errors.ts'
import { decodeBackend } from '../../src/wire/backend.ts'
import { encodeBackend, errorResponse } from '../../src/wire/backend-encoder.ts'
import { decodeFrontend, encodeFrontend } from '../../src/wire/frontend.ts'
import { decodeStartup, encodeStartup } from '../../src/wire/startup.ts'
import { anyBackendMessage, anyFrontendMessage } from '../support/messages.ts'

describe('the codec', () => {
  it('reads back every frontend message that it writes', () => {
    fc.assert(
      fc.property(anyFrontendMessage, (message) => {
        const bytes = encodeFrontend(message)
        expect(decodeFrontend(bytes, 0, bytes.length)).toEqual(message)
      }),
    )
  })

  it('reads back every backend message that it writes', () => {
    fc.assert(
      fc.property(anyBackendMessage, (message) => {
        const bytes = encodeBackend(message)
        expect(decodeBackend(bytes, 0, bytes.length)).toEqual(message)
      }),
    )
  })

  it('refuses each message with a byte too many or too few', () => {
    const streaming = new Set([
      'copyData',
      'authenticationSASLContinue',
      'authenticationSASLFinal',
      'backendKeyData',
    ])
    fc.assert(
      fc.property(anyBackendMessage, (message) => {
        fc.pre(!streaming.has(message.type))
        const bytes = encodeBackend(message)
        const longer = Buffer.concat([bytes, Buffer.from([0x41])])
        expect(() => decodeBackend(longer, 0, longer.length)).toThrow(Failure)
        if (bytes.length > 5)
          expect(() => decodeBackend(bytes, 0, bytes.length - 1)).toThrow(Failure)
      }),
    )
    fc.assert(
      fc.property(anyFrontendMessage, (message) => {
        fc.pre(message.type !== 'copyData')
        const bytes = encodeFrontend(message)
        const longer = Buffer.concat([bytes, Buffer.from([0x41])])
        expect(() => decodeFrontend(longer, 0, longer.length)).toThrow(Failure)
        if (bytes.length > 5)
          expect(() => decodeFrontend(bytes, 0, bytes.length - 1)).toThrow(Failure)
      }),
    )
  })

  it('refuses a NUL inside a query string', () => {
    const bytes = encodeFrontend({ type: 'query', text: Buffer.from('SELECT 1\0; DELETE FROM t') })
    expect(() => decodeFrontend(bytes, 0, bytes.length)).toThrow(
      expect.objectContaining({ sqlstate: '08P01' }),
    )
  })

  it('reads the frontend messages that pg-protocol writes', () => {
    const read = (bytes: Buffer) => decodeFrontend(bytes, 0, bytes.length)
    expect(read(serialize.query('SELECT 1'))).toEqual({
      type: 'query',
      text: Buffer.from('SELECT 1'),
    })
    expect(read(serialize.parse({ name: 'a', text: 'SELECT $1', types: [23] }))).toEqual({
      type: 'parse',
      name: 'a',
      text: Buffer.from('SELECT $1'),
      parameterTypes: [23],
    })
    expect(
      read(serialize.bind({ portal: 'p', statement: 'a', values: ['x', null], binary: true })),
    ).toMatchObject({
      type: 'bind',
      portal: 'p',
      statement: 'a',
      parameters: [Buffer.from('x'), null],
      resultFormats: [1],
    })
    expect(read(serialize.execute({ portal: 'p', rows: 7 }))).toEqual({
      type: 'execute',
      portal: 'p',
      maxRows: 7,
    })
    expect(read(serialize.describe({ type: 'S', name: 'a' }))).toEqual({
      type: 'describe',
      target: 'statement',
      name: 'a',
    })
    expect(read(serialize.close({ type: 'P', name: 'p' }))).toEqual({
      type: 'close',
      target: 'portal',
      name: 'p',
    })
    expect(read(serialize.sync())).toEqual({ type: 'sync' })
    expect(read(serialize.flush())).toEqual({ type: 'flush' })
    expect(read(serialize.end())).toEqual({ type: 'terminate' })
    expect(read(serialize.copyDone())).toEqual({ type: 'copyDone' })
    expect(read(serialize.copyFail('no'))).toEqual({ type: 'copyFail', message: 'no' })
    expect(read(serialize.copyData(Buffer.from('1\t2')))).toEqual({
      type: 'copyData',
      data: Buffer.from('1\t2'),
    })
    const startup = serialize.startup({ user: 'alice', database: 'shop' })
    expect(decodeStartup(startup)).toMatchObject({ type: 'startup', major: 3, minor: 0 })
    expect(decodeStartup(serialize.requestSsl())).toEqual({ type: 'sslRequest' })
    expect(decodeStartup(serialize.cancel(7, 9))).toEqual({
      type: 'cancelRequest',
      processId: 7,
      secret: Buffer.from([0, 0, 0, 9]),
    })
  })

  it('is read by pg-protocol in every backend message that pg-protocol knows', () => {
    const known = new Set([
      'copyBothResponse',
      'functionCallResponse',
      'negotiateProtocolVersion',
      'authenticationOther',
    ])
    fc.assert(
      fc.property(fc.array(anyBackendMessage, { minLength: 1, maxLength: 6 }), (messages) => {
        const readable = messages
          .filter(({ type }) => !known.has(type))
          // pg-protocol reads a 4-byte key only, as protocol 3.0 has it.
          .filter((message) => message.type !== 'backendKeyData' || message.secret.length === 4)
        let read = 0
        new Parser().parse(Buffer.concat(readable.map(encodeBackend)), (message) => {
          expect(message.name).not.toBe('error-of-the-parser')
          read++
        })
        expect(read).toBe(readable.length)
      }),
    )
  })

  it('writes an ErrorResponse with severity, code, message, detail and hint', () => {
    const failure = new Failure('statement_denied', {
      message: 'permission denied for role read_only: DELETE',
      detail: 'Why.',
      hint: 'What next.',
    })
    const bytes = errorResponse(failure)
    expect(decodeBackend(bytes, 0, bytes.length)).toEqual({
      type: 'errorResponse',
      fields: {
        S: 'ERROR',
        V: 'ERROR',
        C: '42501',
        M: 'permission denied for role read_only: DELETE',
        D: 'Why.',
        H: 'What next.',
      },
    })
  })
})

describe('the startup packet', () => {
  it('is read back as it was written', () => {
    const parameters = new Map([
      ['user', 'alice'],
      ['database', 'shop'],
    ])
    expect(decodeStartup(encodeStartup(parameters))).toEqual({
      type: 'startup',
      major: 3,
      minor: 0,
      parameters,
      protocolOptions: [],
    })
  })

  it('is refused with a parameter given twice, since the server would take the last', () => {
    const twice = encodeStartup([
      ['user', 'alice'],
      ['user', 'postgres'],
    ])
    expect(() => decodeStartup(twice)).toThrow('given twice')
  })

  it('is refused with bytes behind its terminator, or without one', () => {
    const good = encodeStartup([['user', 'alice']])
    const longer = Buffer.concat([good, Buffer.from('x')])
    expect(() => decodeStartup(longer)).toThrow(Failure)
    expect(() => decodeStartup(good.subarray(0, good.length - 1))).toThrow(Failure)
  })

  it('of random bytes is a packet or a failure, never a crash', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 200 }), (bytes) => {
        try {
          decodeStartup(Buffer.from(bytes))
        } catch (error) {
          expect(error).toBeInstanceOf(Failure)
        }
      }),
      { numRuns: 2000 },
    )
  })
})
