// Backend messages (server to client): their frames, and what they say. Their bytes are made in
// backend-encoder.ts.
// PostgreSQL documentation, "Message Formats" and "Error and Notice Message Fields".

import { Failure } from '../errors.ts'
import { Body } from './body.ts'
import type { FrameTable } from './frames.ts'
import { headerBytes } from './frames.ts'
import { list } from './frontend.ts'

/** Type bytes by name, as in protocol.h. */
export const backend = {
  parseComplete: 0x31,
  bindComplete: 0x32,
  closeComplete: 0x33,
  notification: 0x41,
  commandComplete: 0x43,
  dataRow: 0x44,
  error: 0x45,
  copyInResponse: 0x47,
  copyOutResponse: 0x48,
  emptyQuery: 0x49,
  backendKeyData: 0x4b,
  notice: 0x4e,
  authentication: 0x52,
  parameterStatus: 0x53,
  rowDescription: 0x54,
  functionCallResponse: 0x56,
  copyBothResponse: 0x57,
  readyForQuery: 0x5a,
  copyDone: 0x63,
  copyData: 0x64,
  noData: 0x6e,
  portalSuspended: 0x73,
  parameterDescription: 0x74,
  negotiateProtocolVersion: 0x76,
} as const

/** I: idle. T: in a transaction block. E: in a failed one. */
export type TransactionStatus = 'I' | 'T' | 'E'

interface Column {
  readonly name: string
  readonly tableOid: number
  readonly attribute: number
  readonly typeOid: number
  readonly typeSize: number
  readonly typeModifier: number
  readonly format: number
}

/** The fields of ErrorResponse and NoticeResponse by their one-letter code. */
export type ErrorFields = Readonly<Record<string, string>>

export type BackendMessage =
  | { readonly type: 'authenticationOk' }
  | { readonly type: 'authenticationCleartextPassword' }
  | { readonly type: 'authenticationMD5Password'; readonly salt: Buffer }
  | { readonly type: 'authenticationSASL'; readonly mechanisms: readonly string[] }
  | { readonly type: 'authenticationSASLContinue'; readonly data: Buffer }
  | { readonly type: 'authenticationSASLFinal'; readonly data: Buffer }
  /** Kerberos, GSSAPI, SSPI and whatever comes: not spoken here. */
  | { readonly type: 'authenticationOther'; readonly code: number }
  | { readonly type: 'backendKeyData'; readonly processId: number; readonly secret: Buffer }
  | { readonly type: 'parameterStatus'; readonly name: string; readonly value: string }
  | { readonly type: 'readyForQuery'; readonly status: TransactionStatus }
  | { readonly type: 'errorResponse'; readonly fields: ErrorFields }
  | { readonly type: 'noticeResponse'; readonly fields: ErrorFields }
  | {
      readonly type: 'notificationResponse'
      readonly processId: number
      readonly channel: string
      readonly payload: string
    }
  | { readonly type: 'rowDescription'; readonly columns: readonly Column[] }
  | { readonly type: 'dataRow'; readonly values: readonly (Buffer | null)[] }
  | { readonly type: 'parameterDescription'; readonly typeOids: readonly number[] }
  | { readonly type: 'commandComplete'; readonly tag: string }
  | { readonly type: 'functionCallResponse'; readonly value: Buffer | null }
  | {
      readonly type: 'copyInResponse' | 'copyOutResponse' | 'copyBothResponse'
      readonly format: number
      readonly columnFormats: readonly number[]
    }
  | {
      readonly type: 'negotiateProtocolVersion'
      readonly version: number
      readonly unrecognised: readonly string[]
    }
  | { readonly type: 'copyData'; readonly data: Buffer }
  | { readonly type: 'copyDone' }
  | { readonly type: 'parseComplete' }
  | { readonly type: 'bindComplete' }
  | { readonly type: 'closeComplete' }
  | { readonly type: 'emptyQueryResponse' }
  | { readonly type: 'noData' }
  | { readonly type: 'portalSuspended' }

/** How much of an ErrorResponse or a ParameterStatus is gathered; SQLSTATE and names come early. */
const gathered = 8 * 1024

/** Of a ParameterDescription: as many types as anybody here looks at. */
const describedTypes = 64

/**
 * What an upstream may send in a session. Rows and COPY data are seen by their headers alone; small
 * control messages are gathered. The server is trusted with sizes: they cost nothing here.
 */
export const upstreamFrames: FrameTable = {
  need(type, size) {
    switch (type) {
      case backend.dataRow:
      case backend.copyData:
      case backend.rowDescription:
      case backend.notification:
      case backend.notice:
      case backend.functionCallResponse:
      case backend.copyInResponse:
      case backend.copyOutResponse:
      case backend.copyBothResponse:
        return headerBytes
      case backend.parameterDescription:
        return Math.min(size, headerBytes + 2 + describedTypes * 4)
      default:
        return Math.min(size, gathered)
    }
  },
}

/** What an upstream may send while we log in: everything is gathered, nothing may be large. */
export const upstreamLoginFrames: FrameTable = {
  need(_type, size) {
    if (size > 64 * 1024) {
      throw new Failure('protocol_violation', { message: 'invalid message length from the target' })
    }
    return size
  },
}

/** The command tag of a CommandComplete frame, e.g. `INSERT 0 5`; cut where the range ends. */
export function decodeCommandTag(bytes: Buffer, start: number, end: number): string {
  const nul = bytes.indexOf(0, start + headerBytes)
  return bytes.toString('latin1', start + headerBytes, nul === -1 || nul > end ? end : nul)
}

export function decodeStatus(bytes: Buffer, start: number, end: number): TransactionStatus {
  const body = new Body('ReadyForQuery', bytes, start + headerBytes, end)
  const status = String.fromCharCode(body.byte())
  body.done()
  if (status === 'I' || status === 'T' || status === 'E') return status
  throw body.bad('has an unknown transaction status')
}

/** The types of a ParameterDescription, as far as the range reaches. */
export function decodeParameterTypes(bytes: Buffer, start: number, end: number): readonly number[] {
  const body = new Body('ParameterDescription', bytes, start + headerBytes, end)
  return list(Math.min(body.uint16(), Math.floor(body.left / 4)), () => body.uint32())
}

/** As far as the range reaches: a value may be longer than what is gathered, and is then cut. */
export function decodeParameterStatus(
  bytes: Buffer,
  start: number,
  end: number,
): { readonly name: string; readonly value: string } {
  const from = start + headerBytes
  const name = stringAt(bytes, from, end)
  return { name: name.text, value: stringAt(bytes, name.next, end).text }
}

function stringAt(
  bytes: Buffer,
  from: number,
  end: number,
): { readonly text: string; readonly next: number } {
  const nul = bytes.indexOf(0, from)
  const stop = nul === -1 || nul > end ? end : nul
  return { text: bytes.toString('utf8', from, stop), next: stop + 1 }
}

/**
 * The fields of an ErrorResponse or NoticeResponse, as far as the range reaches: a server's message
 * may be longer than what is gathered, and an error without a code must not be an error of ours.
 */
export function decodeErrorFields(bytes: Buffer, start: number, end: number): ErrorFields {
  const fields: Record<string, string> = {}
  let at = start + headerBytes
  while (at < end && bytes[at] !== 0) {
    const code = String.fromCharCode(bytes[at] ?? 0)
    const nul = bytes.indexOf(0, at + 1)
    const stop = nul === -1 || nul > end ? end : nul
    fields[code] = bytes.toString('utf8', at + 1, stop)
    at = stop + 1
  }
  return fields
}

/** Any backend message lying whole in `bytes[start, end)`. Throws a protocol_violation. */
export function decodeBackend(bytes: Buffer, start: number, end: number): BackendMessage {
  const type = bytes[start] ?? 0
  const body = new Body(String.fromCharCode(type), bytes, start + headerBytes, end)
  const message = readBody(type, body, bytes, start, end)
  body.done()
  return message
}

function readBody(
  type: number,
  body: Body,
  bytes: Buffer,
  start: number,
  end: number,
): BackendMessage {
  switch (type) {
    case backend.authentication:
      return readAuthentication(body)
    case backend.backendKeyData: {
      const processId = body.int32()
      if (body.left < 4) throw body.bad('has no secret')
      return { type: 'backendKeyData', processId, secret: body.bytes(body.left) }
    }
    case backend.parameterStatus:
      return { type: 'parameterStatus', name: body.string(), value: body.string() }
    case backend.readyForQuery:
      body.byte()
      return { type: 'readyForQuery', status: decodeStatus(bytes, start, end) }
    case backend.error:
    case backend.notice:
      return {
        type: type === backend.error ? 'errorResponse' : 'noticeResponse',
        fields: readErrorFields(body),
      }
    case backend.notification:
      return {
        type: 'notificationResponse',
        processId: body.int32(),
        channel: body.string(),
        payload: body.string(),
      }
    case backend.rowDescription:
      return {
        type: 'rowDescription',
        columns: list(body.uint16(), () => ({
          name: body.string(),
          tableOid: body.uint32(),
          attribute: body.int16(),
          typeOid: body.uint32(),
          typeSize: body.int16(),
          typeModifier: body.int32(),
          format: body.int16(),
        })),
      }
    case backend.dataRow:
      return { type: 'dataRow', values: list(body.uint16(), () => body.value()) }
    case backend.parameterDescription:
      return { type: 'parameterDescription', typeOids: list(body.uint16(), () => body.uint32()) }
    case backend.commandComplete:
      return { type: 'commandComplete', tag: body.string() }
    case backend.functionCallResponse:
      return { type: 'functionCallResponse', value: body.value() }
    case backend.copyInResponse:
      return { type: 'copyInResponse', ...readCopy(body) }
    case backend.copyOutResponse:
      return { type: 'copyOutResponse', ...readCopy(body) }
    case backend.copyBothResponse:
      return { type: 'copyBothResponse', ...readCopy(body) }
    case backend.negotiateProtocolVersion:
      return {
        type: 'negotiateProtocolVersion',
        version: body.int32(),
        unrecognised: list(body.uint32(), () => body.string()),
      }
    case backend.copyData:
      return { type: 'copyData', data: body.bytes(body.left) }
    case backend.copyDone:
      return { type: 'copyDone' }
    case backend.parseComplete:
      return { type: 'parseComplete' }
    case backend.bindComplete:
      return { type: 'bindComplete' }
    case backend.closeComplete:
      return { type: 'closeComplete' }
    case backend.emptyQuery:
      return { type: 'emptyQueryResponse' }
    case backend.noData:
      return { type: 'noData' }
    case backend.portalSuspended:
      return { type: 'portalSuspended' }
    default:
      throw new Failure('protocol_violation', { message: `invalid backend message type ${type}` })
  }
}

function readAuthentication(body: Body): BackendMessage {
  const code = body.int32()
  switch (code) {
    case 0:
      return { type: 'authenticationOk' }
    case 3:
      return { type: 'authenticationCleartextPassword' }
    case 5:
      return { type: 'authenticationMD5Password', salt: body.bytes(4) }
    case 10: {
      const mechanisms: string[] = []
      for (let name = body.string(); name !== ''; name = body.string()) mechanisms.push(name)
      return { type: 'authenticationSASL', mechanisms }
    }
    case 11:
      return { type: 'authenticationSASLContinue', data: body.bytes(body.left) }
    case 12:
      return { type: 'authenticationSASLFinal', data: body.bytes(body.left) }
    default:
      body.bytes(body.left)
      return { type: 'authenticationOther', code }
  }
}

function readErrorFields(body: Body): ErrorFields {
  const fields: Record<string, string> = {}
  for (let code = body.byte(); code !== 0; code = body.byte()) {
    fields[String.fromCharCode(code)] = body.string()
  }
  return fields
}

function readCopy(body: Body): {
  readonly format: number
  readonly columnFormats: readonly number[]
} {
  return { format: body.byte(), columnFormats: list(body.uint16(), () => body.int16()) }
}
