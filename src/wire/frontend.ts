// Frontend messages (client to server): which may come, how large, what they say; and their bytes.
// PostgreSQL documentation, "Message Formats"; size limits as in postgres.c, SocketBackend.

import { Failure } from '../errors.ts'
import { Body } from './body.ts'
import type { FrameTable } from './frames.ts'
import { headerBytes } from './frames.ts'
import { MessageWriter } from './writer.ts'

/** Type bytes by name, as in protocol.h. */
export const frontend = {
  bind: 0x42,
  close: 0x43,
  describe: 0x44,
  execute: 0x45,
  functionCall: 0x46,
  flush: 0x48,
  parse: 0x50,
  query: 0x51,
  sync: 0x53,
  terminate: 0x58,
  copyFail: 0x66,
  copyDone: 0x63,
  copyData: 0x64,
  /** PasswordMessage, SASLInitialResponse and SASLResponse share it. */
  password: 0x70,
} as const

export type Target = 'statement' | 'portal'

export interface FunctionCall {
  readonly type: 'functionCall'
  readonly oid: number
  readonly argumentFormats: readonly number[]
  readonly arguments: readonly (Buffer | null)[]
  readonly resultFormat: number
}

export type FrontendMessage =
  | { readonly type: 'query'; readonly text: Buffer }
  | {
      readonly type: 'parse'
      readonly name: string
      readonly text: Buffer
      readonly parameterTypes: readonly number[]
    }
  | {
      readonly type: 'bind'
      readonly portal: string
      readonly statement: string
      readonly parameterFormats: readonly number[]
      readonly parameters: readonly (Buffer | null)[]
      readonly resultFormats: readonly number[]
    }
  | { readonly type: 'describe'; readonly target: Target; readonly name: string }
  | { readonly type: 'close'; readonly target: Target; readonly name: string }
  | { readonly type: 'execute'; readonly portal: string; readonly maxRows: number }
  | FunctionCall
  | { readonly type: 'copyData'; readonly data: Buffer }
  | { readonly type: 'copyFail'; readonly message: string }
  | { readonly type: 'password'; readonly data: Buffer }
  | { readonly type: 'copyDone' }
  | { readonly type: 'flush' }
  | { readonly type: 'sync' }
  | { readonly type: 'terminate' }

/** PostgreSQL's PQ_LARGE_MESSAGE_LIMIT and PQ_SMALL_MESSAGE_LIMIT, plus the type byte. */
const largeFrame = 0x40000000
const smallFrame = 10_001

/**
 * How much of a Bind is read before it goes on its way: its two names. Parameters may be a gigabyte
 * and stream through.
 */
const bindHeadBytes = 16 * 1024

/**
 * How much of a FunctionCall is read: the function, and the arguments of one that opens a large object.
 * What is written to one may be a gigabyte and streams through.
 */
const callHeadBytes = 64

/**
 * What a client may send once it is logged in. A Query or Parse larger than `maxStatementFrame` bytes
 * is announced by its header alone, so that it can be refused without being gathered. `wholeBinds`: up
 * to that size a Bind is gathered too, however a client cuts it, since its values are looked at.
 */
export function sessionFrames(maxStatementFrame: number, wholeBinds = false): FrameTable {
  return {
    need(type, size) {
      switch (type) {
        case frontend.query:
        case frontend.parse:
          limit(size, largeFrame)
          return size > maxStatementFrame ? headerBytes : size
        case frontend.bind:
          limit(size, largeFrame)
          return wholeBinds && size <= maxStatementFrame ? size : Math.min(size, bindHeadBytes)
        case frontend.functionCall:
          limit(size, largeFrame)
          return Math.min(size, callHeadBytes)
        case frontend.copyData:
          limit(size, largeFrame)
          return headerBytes
        case frontend.execute:
        case frontend.describe:
        case frontend.close:
        case frontend.sync:
        case frontend.flush:
        case frontend.terminate:
        case frontend.copyDone:
        case frontend.copyFail:
          limit(size, smallFrame)
          return size
        default:
          throw unexpectedType(type)
      }
    },
  }
}

/** What a client may send while it logs in: answers to Authentication requests, gathered whole. */
export function loginFrames(maxFrame: number): FrameTable {
  return {
    need(type, size) {
      if (type !== frontend.password) throw unexpectedType(type)
      limit(size, maxFrame)
      return size
    },
  }
}

function limit(size: number, most: number): void {
  if (size <= most) return
  throw new Failure('protocol_violation', {
    message: 'invalid message length',
    detail: `The message announces ${size} bytes; at most ${most} are allowed for its type.`,
  })
}

function unexpectedType(type: number): Failure {
  return new Failure('protocol_violation', { message: `invalid frontend message type ${type}` })
}

/** The query string of a Query frame lying whole in `bytes[start, end)`: a view without its NUL. */
export function decodeQuery(bytes: Buffer, start: number, end: number): Buffer {
  const body = new Body('Query', bytes, start + headerBytes, end)
  const text = body.stringBytes()
  body.done()
  return text
}

/** A Parse frame's statement name and query string; the parameter types are checked and dropped. */
export function decodeParse(
  bytes: Buffer,
  start: number,
  end: number,
): { readonly name: string; readonly text: Buffer; readonly parameterTypes: readonly number[] } {
  const body = new Body('Parse', bytes, start + headerBytes, end)
  const name = body.string()
  const text = body.stringBytes()
  const parameterTypes = list(body.uint16(), () => body.uint32())
  body.done()
  return { name, text, parameterTypes }
}

/** The two names at the head of a Bind frame. `whole` when the frame lies whole in the range. */
export function decodeBindHead(
  bytes: Buffer,
  start: number,
  end: number,
  whole: boolean,
): { readonly portal: string; readonly statement: string } {
  const body = new Body('Bind', bytes, start + headerBytes, end)
  const portal = body.string()
  const statement = body.string()
  if (whole) {
    body.bytes(body.uint16() * 2)
    for (let left = body.uint16(); left > 0; left--) body.value()
    body.bytes(body.uint16() * 2)
    body.done()
  }
  return { portal, statement }
}

export function decodeExecute(
  bytes: Buffer,
  start: number,
  end: number,
): { readonly portal: string; readonly maxRows: number } {
  const body = new Body('Execute', bytes, start + headerBytes, end)
  const portal = body.string()
  const maxRows = body.int32()
  body.done()
  return { portal, maxRows }
}

/** The function that a FunctionCall of `size` bytes names, and all of it when it is no longer than its head. */
export function decodeCallHead(
  bytes: Buffer,
  start: number,
  end: number,
  size: number,
): { readonly oid: number; readonly call: FunctionCall | undefined } {
  if (size > callHeadBytes) {
    const oid = new Body('FunctionCall', bytes, start + headerBytes, end).uint32()
    return { oid, call: undefined }
  }
  const call = decodeCall(bytes, start, end)
  return { oid: call.oid, call }
}

function decodeCall(bytes: Buffer, start: number, end: number): FunctionCall {
  const body = new Body('FunctionCall', bytes, start + headerBytes, end)
  const oid = body.uint32()
  const argumentFormats = list(body.uint16(), () => body.int16())
  const args = list(body.uint16(), () => body.value())
  const resultFormat = body.int16()
  body.done()
  return { type: 'functionCall', oid, argumentFormats, arguments: args, resultFormat }
}

/** A Describe or Close frame. */
export function decodeTarget(
  bytes: Buffer,
  start: number,
  end: number,
): { readonly target: Target; readonly name: string } {
  const body = new Body('Describe or Close', bytes, start + headerBytes, end)
  const kind = body.byte()
  const name = body.string()
  body.done()
  if (kind === 0x53) return { target: 'statement', name }
  if (kind === 0x50) return { target: 'portal', name }
  throw body.bad(`has the unknown kind ${kind}`)
}

/** Sync, Flush, Terminate, CopyDone: nothing may follow their header. */
export function decodeEmpty(bytes: Buffer, start: number, end: number): void {
  new Body('Sync, Flush, Terminate or CopyDone', bytes, start + headerBytes, end).done()
}

/** Any frontend message lying whole in `bytes[start, end)`. Throws a protocol_violation. */
export function decodeFrontend(bytes: Buffer, start: number, end: number): FrontendMessage {
  const type = bytes[start] ?? 0
  const body = new Body(String.fromCharCode(type), bytes, start + headerBytes, end)
  switch (type) {
    case frontend.query:
      return { type: 'query', text: decodeQuery(bytes, start, end) }
    case frontend.parse: {
      const name = body.string()
      const text = body.stringBytes()
      const parameterTypes = list(body.uint16(), () => body.uint32())
      body.done()
      return { type: 'parse', name, text, parameterTypes }
    }
    case frontend.bind: {
      const portal = body.string()
      const statement = body.string()
      const parameterFormats = list(body.uint16(), () => body.int16())
      const parameters = list(body.uint16(), () => body.value())
      const resultFormats = list(body.uint16(), () => body.int16())
      body.done()
      return { type: 'bind', portal, statement, parameterFormats, parameters, resultFormats }
    }
    case frontend.describe:
      return { type: 'describe', ...decodeTarget(bytes, start, end) }
    case frontend.close:
      return { type: 'close', ...decodeTarget(bytes, start, end) }
    case frontend.execute:
      return { type: 'execute', ...decodeExecute(bytes, start, end) }
    case frontend.functionCall:
      return decodeCall(bytes, start, end)
    case frontend.copyData:
      return { type: 'copyData', data: body.bytes(body.left) }
    case frontend.copyFail: {
      const message = body.string()
      body.done()
      return { type: 'copyFail', message }
    }
    case frontend.password:
      return { type: 'password', data: body.bytes(body.left) }
    case frontend.copyDone:
      body.done()
      return { type: 'copyDone' }
    case frontend.flush:
      body.done()
      return { type: 'flush' }
    case frontend.sync:
      body.done()
      return { type: 'sync' }
    case frontend.terminate:
      body.done()
      return { type: 'terminate' }
    default:
      throw unexpectedType(type)
  }
}

/** The bytes of a frontend message; decodeFrontend reads back the same message. */
export function encodeFrontend(message: FrontendMessage): Buffer {
  const out = new MessageWriter()
  switch (message.type) {
    case 'query':
      return out.begin('Q').bytes(message.text).byte(0).end().take()
    case 'parse':
      out.begin('P').string(message.name).bytes(message.text).byte(0)
      out.int16(message.parameterTypes.length)
      for (const oid of message.parameterTypes) out.int32(oid)
      return out.end().take()
    case 'bind':
      out.begin('B').string(message.portal).string(message.statement)
      writeFormats(out, message.parameterFormats)
      writeValues(out, message.parameters)
      writeFormats(out, message.resultFormats)
      return out.end().take()
    case 'describe':
      return target(out.begin('D'), message)
    case 'close':
      return target(out.begin('C'), message)
    case 'execute':
      return out.begin('E').string(message.portal).int32(message.maxRows).end().take()
    case 'functionCall':
      out.begin('F').int32(message.oid)
      writeFormats(out, message.argumentFormats)
      writeValues(out, message.arguments)
      return out.int16(message.resultFormat).end().take()
    case 'copyData':
      return out.begin('d').bytes(message.data).end().take()
    case 'copyFail':
      return out.begin('f').string(message.message).end().take()
    case 'password':
      return out.begin('p').bytes(message.data).end().take()
    case 'copyDone':
      return out.begin('c').end().take()
    case 'flush':
      return out.begin('H').end().take()
    case 'sync':
      return out.begin('S').end().take()
    case 'terminate':
      return out.begin('X').end().take()
  }
}

function target(
  out: MessageWriter,
  message: { readonly target: Target; readonly name: string },
): Buffer {
  return out
    .byte(message.target === 'statement' ? 0x53 : 0x50)
    .string(message.name)
    .end()
    .take()
}

function writeFormats(out: MessageWriter, formats: readonly number[]): void {
  out.int16(formats.length)
  for (const format of formats) out.int16(format)
}

function writeValues(out: MessageWriter, values: readonly (Buffer | null)[]): void {
  out.int16(values.length)
  for (const value of values) out.value(value)
}

/** `count` items read one after another; the count comes off the wire, so nothing is pre-allocated. */
export function list<T>(count: number, read: () => T): T[] {
  const items: T[] = []
  for (let left = count; left > 0; left--) items.push(read())
  return items
}
