// Arbitrary protocol messages, for properties of the codec and of what is built on it.

import fc from 'fast-check'
import type { BackendMessage } from '../../src/wire/backend.ts'
import type { FrontendMessage } from '../../src/wire/frontend.ts'

const name = fc.string({ maxLength: 12 }).filter((text) => !text.includes('\0'))
const data = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes))
const value = fc.option(data, { nil: null })
const formats = fc.array(fc.constantFrom(0, 1), { maxLength: 4 })
const sql = fc.string({ maxLength: 80 }).map((source) => Buffer.from(source.replaceAll('\0', '')))

export const anyFrontendMessage: fc.Arbitrary<FrontendMessage> = fc.oneof(
  sql.map((text): FrontendMessage => ({ type: 'query', text })),
  fc.tuple(name, sql, fc.array(fc.nat(2 ** 31), { maxLength: 3 })).map(
    ([statement, text, parameterTypes]): FrontendMessage => ({
      type: 'parse',
      name: statement,
      text,
      parameterTypes,
    }),
  ),
  fc.tuple(name, name, formats, fc.array(value, { maxLength: 3 }), formats).map(
    ([portal, statement, parameterFormats, parameters, resultFormats]): FrontendMessage => ({
      type: 'bind',
      portal,
      statement,
      parameterFormats,
      parameters,
      resultFormats,
    }),
  ),
  fc
    .tuple(fc.constantFrom('statement' as const, 'portal' as const), name)
    .map(([target, described]): FrontendMessage => ({ type: 'describe', target, name: described })),
  fc
    .tuple(fc.constantFrom('statement' as const, 'portal' as const), name)
    .map(([target, closed]): FrontendMessage => ({ type: 'close', target, name: closed })),
  fc
    .tuple(name, fc.nat(1000))
    .map(([portal, maxRows]): FrontendMessage => ({ type: 'execute', portal, maxRows })),
  fc.tuple(fc.nat(9999), formats, fc.array(value, { maxLength: 3 })).map(
    ([oid, argumentFormats, args]): FrontendMessage => ({
      type: 'functionCall',
      oid,
      argumentFormats,
      arguments: args,
      resultFormat: 0,
    }),
  ),
  data.map((bytes): FrontendMessage => ({ type: 'copyData', data: bytes })),
  name.map((message): FrontendMessage => ({ type: 'copyFail', message })),
  fc.constantFrom<FrontendMessage>(
    { type: 'copyDone' },
    { type: 'flush' },
    { type: 'sync' },
    { type: 'terminate' },
  ),
)

const text = name

export const anyBackendMessage: fc.Arbitrary<BackendMessage> = fc.oneof(
  fc.constantFrom<BackendMessage>(
    { type: 'authenticationOk' },
    { type: 'authenticationCleartextPassword' },
    { type: 'copyDone' },
    { type: 'parseComplete' },
    { type: 'bindComplete' },
    { type: 'closeComplete' },
    { type: 'emptyQueryResponse' },
    { type: 'noData' },
    { type: 'portalSuspended' },
  ),
  fc
    .uint8Array({ minLength: 4, maxLength: 4 })
    .map(
      (salt): BackendMessage => ({ type: 'authenticationMD5Password', salt: Buffer.from(salt) }),
    ),
  fc
    .array(
      text.filter((name) => name !== ''),
      { maxLength: 3 },
    )
    .map((mechanisms): BackendMessage => ({ type: 'authenticationSASL', mechanisms })),
  data.map((bytes): BackendMessage => ({ type: 'authenticationSASLContinue', data: bytes })),
  data.map((bytes): BackendMessage => ({ type: 'authenticationSASLFinal', data: bytes })),
  fc
    .tuple(fc.integer({ min: 1, max: 2 ** 31 - 1 }), fc.uint8Array({ minLength: 4, maxLength: 32 }))
    .map(
      ([processId, secret]): BackendMessage => ({
        type: 'backendKeyData',
        processId,
        secret: Buffer.from(secret),
      }),
    ),
  fc
    .tuple(text, text)
    .map(([name, set]): BackendMessage => ({ type: 'parameterStatus', name, value: set })),
  fc
    .constantFrom('I' as const, 'T' as const, 'E' as const)
    .map((status): BackendMessage => ({ type: 'readyForQuery', status })),
  fc.tuple(text, text).map(
    ([M, D]): BackendMessage => ({
      type: 'errorResponse',
      fields: { S: 'ERROR', C: '42501', M, D },
    }),
  ),
  fc.tuple(text, text).map(
    ([M, H]): BackendMessage => ({
      type: 'noticeResponse',
      fields: { S: 'NOTICE', C: '00000', M, H },
    }),
  ),
  fc.tuple(fc.nat(2 ** 31 - 1), text, text).map(
    ([processId, channel, payload]): BackendMessage => ({
      type: 'notificationResponse',
      processId,
      channel,
      payload,
    }),
  ),
  fc
    .array(
      fc.record({
        name: text,
        tableOid: fc.nat(),
        attribute: fc.nat(99),
        typeOid: fc.nat(),
        typeSize: fc.integer({ min: -2, max: 99 }),
        typeModifier: fc.integer({ min: -1, max: 99 }),
        format: fc.constantFrom(0, 1),
      }),
      { maxLength: 4 },
    )
    .map((columns): BackendMessage => ({ type: 'rowDescription', columns })),
  fc.array(value, { maxLength: 5 }).map((values): BackendMessage => ({ type: 'dataRow', values })),
  fc
    .array(fc.nat(), { maxLength: 5 })
    .map((typeOids): BackendMessage => ({ type: 'parameterDescription', typeOids })),
  text.map((tag): BackendMessage => ({ type: 'commandComplete', tag })),
  value.map((result): BackendMessage => ({ type: 'functionCallResponse', value: result })),
  fc
    .tuple(
      fc.constantFrom(
        'copyInResponse' as const,
        'copyOutResponse' as const,
        'copyBothResponse' as const,
      ),
      fc.array(fc.constantFrom(0, 1), { maxLength: 3 }),
    )
    .map(([type, columnFormats]): BackendMessage => ({ type, format: 0, columnFormats })),
  fc.array(text, { maxLength: 3 }).map(
    (unrecognised): BackendMessage => ({
      type: 'negotiateProtocolVersion',
      version: 0x30000,
      unrecognised,
    }),
  ),
  data.map((bytes): BackendMessage => ({ type: 'copyData', data: bytes })),
)
