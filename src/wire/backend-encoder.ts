// The bytes of backend messages (server to client), for those that pgwarden makes itself: what it relays
// is never built again. PostgreSQL documentation, "Message Formats".

import type { Failure, Severity } from '../errors.ts'
import type { BackendMessage, ErrorFields } from './backend.ts'
import { MessageWriter } from './writer.ts'

/** The bytes of a backend message; decodeBackend reads back the same message. */
export function encodeBackend(message: BackendMessage): Buffer {
  const out = new MessageWriter()
  switch (message.type) {
    case 'authenticationOk':
      return out.begin('R').int32(0).end().take()
    case 'authenticationCleartextPassword':
      return out.begin('R').int32(3).end().take()
    case 'authenticationMD5Password':
      return out.begin('R').int32(5).bytes(message.salt).end().take()
    case 'authenticationSASL':
      out.begin('R').int32(10)
      for (const mechanism of message.mechanisms) out.string(mechanism)
      return out.byte(0).end().take()
    case 'authenticationSASLContinue':
      return out.begin('R').int32(11).bytes(message.data).end().take()
    case 'authenticationSASLFinal':
      return out.begin('R').int32(12).bytes(message.data).end().take()
    case 'authenticationOther':
      return out.begin('R').int32(message.code).end().take()
    case 'backendKeyData':
      return out.begin('K').int32(message.processId).bytes(message.secret).end().take()
    case 'parameterStatus':
      return out.begin('S').string(message.name).string(message.value).end().take()
    case 'readyForQuery':
      return out.begin('Z').byte(message.status.charCodeAt(0)).end().take()
    case 'errorResponse':
      return errorFields(out.begin('E'), message.fields)
    case 'noticeResponse':
      return errorFields(out.begin('N'), message.fields)
    case 'notificationResponse':
      out.begin('A').int32(message.processId).string(message.channel).string(message.payload)
      return out.end().take()
    case 'rowDescription':
      out.begin('T').int16(message.columns.length)
      for (const column of message.columns) {
        out.string(column.name).int32(column.tableOid).int16(column.attribute)
        out.int32(column.typeOid).int16(column.typeSize).int32(column.typeModifier)
        out.int16(column.format)
      }
      return out.end().take()
    case 'dataRow':
      out.begin('D').int16(message.values.length)
      for (const value of message.values) out.value(value)
      return out.end().take()
    case 'parameterDescription':
      out.begin('t').int16(message.typeOids.length)
      for (const oid of message.typeOids) out.int32(oid)
      return out.end().take()
    case 'commandComplete':
      return out.begin('C').string(message.tag).end().take()
    case 'functionCallResponse':
      return out.begin('V').value(message.value).end().take()
    case 'copyInResponse':
      return copy(out.begin('G'), message)
    case 'copyOutResponse':
      return copy(out.begin('H'), message)
    case 'copyBothResponse':
      return copy(out.begin('W'), message)
    case 'negotiateProtocolVersion':
      out.begin('v').int32(message.version).int32(message.unrecognised.length)
      for (const name of message.unrecognised) out.string(name)
      return out.end().take()
    case 'copyData':
      return out.begin('d').bytes(message.data).end().take()
    case 'copyDone':
      return out.begin('c').end().take()
    case 'parseComplete':
      return out.begin('1').end().take()
    case 'bindComplete':
      return out.begin('2').end().take()
    case 'closeComplete':
      return out.begin('3').end().take()
    case 'emptyQueryResponse':
      return out.begin('I').end().take()
    case 'noData':
      return out.begin('n').end().take()
    case 'portalSuspended':
      return out.begin('s').end().take()
  }
}

function errorFields(out: MessageWriter, fields: ErrorFields): Buffer {
  for (const [code, value] of Object.entries(fields)) out.byte(code.charCodeAt(0)).string(value)
  return out.byte(0).end().take()
}

function copy(
  out: MessageWriter,
  message: { readonly format: number; readonly columnFormats: readonly number[] },
): Buffer {
  out.byte(message.format).int16(message.columnFormats.length)
  for (const format of message.columnFormats) out.int16(format)
  return out.end().take()
}

/**
 * A failure as the ErrorResponse that reports it: S, V, C, M always, D and H where there are any.
 * The cause stays behind: it is for the log. Whatever ends a session goes out as FATAL.
 */
export function errorResponse(failure: Failure, severity: Severity = failure.severity): Buffer {
  const fields: Record<string, string> = {
    S: severity,
    V: severity,
    C: failure.sqlstate,
    M: failure.message,
  }
  if (failure.detail !== undefined) fields['D'] = failure.detail
  if (failure.hint !== undefined) fields['H'] = failure.hint
  if (failure.position !== undefined) fields['P'] = String(failure.position)
  return encodeBackend({ type: 'errorResponse', fields })
}
