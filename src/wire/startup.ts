// The packets without a type byte that open a connection: StartupMessage, SSLRequest, GSSENCRequest,
// CancelRequest. Strict, because their reader is reachable by anybody.
// PostgreSQL documentation, "Message Flow", and postmaster.c, ProcessStartupPacket.

import { Failure } from '../errors.ts'
import { Body } from './body.ts'
import { MessageWriter } from './writer.ts'

/** PostgreSQL's MAX_STARTUP_PACKET_LENGTH. */
const maxStartupBytes = 10_000

/** Protocol 3.0: what is spoken upstream, and what every client speaks. */
const version30 = 0x00030000
/** Protocol 3.2, of PostgreSQL 18: cancel keys may be longer. 3.1 was never given out. */
export const version32 = 0x00030002

const sslRequestCode = 80877103
const gssEncRequestCode = 80877104
const cancelRequestCode = 80877102

export type StartupPacket =
  | { readonly type: 'sslRequest' }
  | { readonly type: 'gssEncRequest' }
  | { readonly type: 'cancelRequest'; readonly processId: number; readonly secret: Buffer }
  | {
      readonly type: 'startup'
      readonly major: number
      readonly minor: number
      readonly parameters: ReadonlyMap<string, string>
      /** Names of options of the protocol itself (`_pq_.`), in their order; none is known yet. */
      readonly protocolOptions: readonly string[]
    }

/** The whole packet's size from its first four bytes. Throws a protocol_violation. */
export function startupSize(bytes: Buffer): number {
  const size = bytes.readInt32BE(0)
  if (size < 8 || size > maxStartupBytes) {
    throw new Failure('protocol_violation', {
      message: 'invalid length of startup packet',
      detail: 'The bytes received are not the beginning of a PostgreSQL connection.',
      hint: 'This port speaks the PostgreSQL protocol: connect with psql or another PostgreSQL client.',
    })
  }
  return size
}

/** One whole packet of `startupSize` bytes. Throws a protocol_violation or feature_not_supported. */
export function decodeStartup(packet: Buffer): StartupPacket {
  const body = new Body('startup', packet, 4, packet.length)
  const code = body.int32()
  switch (code) {
    case sslRequestCode:
      body.done()
      return { type: 'sslRequest' }
    case gssEncRequestCode:
      body.done()
      return { type: 'gssEncRequest' }
    case cancelRequestCode: {
      const processId = body.int32()
      // 4 bytes in protocol 3.0, up to 256 in 3.2.
      if (body.left < 4 || body.left > 256) throw body.bad('has a cancel key of a wrong length')
      return { type: 'cancelRequest', processId, secret: body.bytes(body.left) }
    }
    default:
      return readParameters(code, body)
  }
}

function readParameters(code: number, body: Body): StartupPacket {
  const major = code >>> 16
  const minor = code & 0xffff
  if (major !== 3) {
    throw new Failure('feature_not_supported', {
      message: `unsupported frontend protocol ${major}.${minor}: server supports 3.0 to 3.2`,
    })
  }
  const parameters = new Map<string, string>()
  const protocolOptions: string[] = []
  for (let name = body.string(); name !== ''; name = body.string()) {
    if (name.startsWith('_pq_.')) {
      body.string()
      protocolOptions.push(name)
      continue
    }
    // The server takes the last of two; whoever checked the first has checked nothing.
    if (parameters.has(name)) {
      throw new Failure('protocol_violation', {
        message: `startup parameter "${name}" is given twice`,
      })
    }
    parameters.set(name, body.string())
  }
  body.done()
  return { type: 'startup', major, minor, parameters, protocolOptions }
}

/** A StartupMessage of protocol 3.0 with exactly these parameters, in order. */
export function encodeStartup(parameters: Iterable<readonly [string, string]>): Buffer {
  const out = new MessageWriter().begin().int32(version30)
  for (const [name, value] of parameters) out.string(name).string(value)
  return out.byte(0).end().take()
}

export function encodeSslRequest(): Buffer {
  return new MessageWriter().begin().int32(sslRequestCode).end().take()
}

export function encodeGssEncRequest(): Buffer {
  return new MessageWriter().begin().int32(gssEncRequestCode).end().take()
}

export function encodeCancelRequest(processId: number, secret: Buffer): Buffer {
  return new MessageWriter()
    .begin()
    .int32(cancelRequestCode)
    .int32(processId)
    .bytes(secret)
    .end()
    .take()
}

/**
 * The settings in the `options` startup parameter: `-c name=value`, `-cname=value`, `--name=value`,
 * with backslash-escaped spaces, as postgres.c's process_postgres_switches reads them. Any other
 * switch is refused: some of them lower the server's guards (`-O`).
 */
export function decodeOptions(options: string): readonly (readonly [string, string])[] {
  const words = splitOptions(options)
  const settings: (readonly [string, string])[] = []
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? ''
    const setting = word === '-c' ? words[++at] : /^(?:-c|--)([^=].*)$/s.exec(word)?.[1]
    const equals = setting?.indexOf('=') ?? -1
    if (setting === undefined || equals < 1) {
      throw new Failure('setting_denied', {
        message: 'startup parameter "options" holds a switch that is not allowed',
        detail: 'Only settings may be given there: -c name=value or --name=value.',
      })
    }
    // As in PostgreSQL's ParseLongOption: a dash in a name stands for an underscore.
    settings.push([setting.slice(0, equals).replaceAll('-', '_'), setting.slice(equals + 1)])
  }
  return settings
}

/** pg_split_opts: white space separates, a backslash takes the next character as it is. */
function splitOptions(options: string): string[] {
  const words: string[] = []
  let word: string | undefined
  for (let at = 0; at < options.length; at++) {
    const character = options.charAt(at)
    if (/[ \t\n\v\f\r]/.test(character)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else {
      word = (word ?? '') + (character === '\\' ? options.charAt(++at) : character)
    }
  }
  if (word !== undefined) words.push(word)
  return words
}
