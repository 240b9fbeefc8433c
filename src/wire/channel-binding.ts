// The channel binding data `tls-server-end-point`: a hash of the server's certificate, by which SCRAM
// notices that the TLS which both sides see is not one connection. The hash is the one of the
// certificate's signature, so a few fields of its DER are read here. Ignorant of sockets and of SCRAM.
// RFC 5929 section 4; RFC 5280 section 4.1 (Certificate), RFC 4055 section 3.1 (RSASSA-PSS).

import { createHash } from 'node:crypto'

type Hash = 'sha224' | 'sha256' | 'sha384' | 'sha512'

const tags = { bitString: 0x03, oid: 0x06, sequence: 0x30, first: 0xa0 } as const

/** RFC 5929 takes SHA-256 where the signature has MD5 or SHA-1. */
const hashOfSignature: ReadonlyMap<string, Hash> = new Map([
  ['1.2.840.113549.1.1.4', 'sha256'], // md5WithRSAEncryption
  ['1.2.840.113549.1.1.5', 'sha256'], // sha1WithRSAEncryption
  ['1.2.840.113549.1.1.11', 'sha256'], // sha256WithRSAEncryption
  ['1.2.840.113549.1.1.12', 'sha384'],
  ['1.2.840.113549.1.1.13', 'sha512'],
  ['1.2.840.113549.1.1.14', 'sha224'],
  ['1.2.840.10040.4.3', 'sha256'], // dsa-with-sha1
  ['2.16.840.1.101.3.4.3.1', 'sha224'], // dsa-with-sha224
  ['2.16.840.1.101.3.4.3.2', 'sha256'],
  ['1.2.840.10045.4.1', 'sha256'], // ecdsa-with-SHA1
  ['1.2.840.10045.4.3.1', 'sha224'], // ecdsa-with-SHA224
  ['1.2.840.10045.4.3.2', 'sha256'],
  ['1.2.840.10045.4.3.3', 'sha384'],
  ['1.2.840.10045.4.3.4', 'sha512'],
])

/** RSASSA-PSS names its hash in its parameters. */
const rsaPss = '1.2.840.113549.1.1.10'

const hashByName: ReadonlyMap<string, Hash> = new Map([
  ['1.3.14.3.2.26', 'sha256'], // SHA-1
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
  ['2.16.840.1.101.3.4.2.4', 'sha224'],
])

/**
 * What SCRAM-SHA-256-PLUS binds to. Undefined for a certificate whose signature has no single hash
 * (Ed25519, Ed448) or an unknown one, and for bytes that are no certificate: there is then no binding.
 */
export function tlsServerEndPoint(certificateDer: Buffer): Buffer | undefined {
  const hash = hashFor(certificateDer)
  return hash === undefined ? undefined : createHash(hash).update(certificateDer).digest()
}

function hashFor(certificateDer: Buffer): Hash | undefined {
  const certificate = only(certificateDer, tags.sequence)
  const [signed, algorithm, signature, ...more] = elements(certificate)
  if (signed?.tag !== tags.sequence || algorithm?.tag !== tags.sequence) return undefined
  if (signature?.tag !== tags.bitString || more.length > 0) return undefined
  const [name, parameters] = elements(algorithm.value)
  const oid = oidOf(name)
  return oid === rsaPss ? hashOfPss(parameters) : hashOfSignature.get(oid ?? '')
}

/** `[0] EXPLICIT AlgorithmIdentifier`, SHA-1 where it is left out. */
function hashOfPss(parameters: Element | undefined): Hash | undefined {
  if (parameters?.tag !== tags.sequence) return undefined
  const hash = elements(parameters.value).find(({ tag }) => tag === tags.first)
  if (hash === undefined) return 'sha256'
  const [name] = elements(only(hash.value, tags.sequence))
  return hashByName.get(oidOf(name) ?? '')
}

interface Element {
  readonly tag: number
  readonly value: Buffer
}

const nothing = Buffer.alloc(0)

/** The value of the one element that `bytes` is. */
function only(bytes: Buffer, tag: number): Buffer {
  const [element, ...more] = elements(bytes)
  return element?.tag === tag && more.length === 0 ? element.value : nothing
}

/** The elements that fill `bytes` exactly; none when they do not, or are not in DER's one spelling. */
function elements(bytes: Buffer): readonly Element[] {
  const found: Element[] = []
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at] ?? 0
    const length = lengthAt(bytes, at + 1)
    if (length === undefined || (tag & 0x1f) === 0x1f) return []
    const end = length.next + length.value
    if (end > bytes.length) return []
    found.push({ tag, value: bytes.subarray(length.next, end) })
    at = end
  }
  return found
}

/** Definite and in as few bytes as it takes: anything else is BER. */
function lengthAt(
  bytes: Buffer,
  at: number,
): { readonly value: number; readonly next: number } | undefined {
  const first = bytes[at]
  if (first === undefined) return undefined
  if (first < 0x80) return { value: first, next: at + 1 }
  const count = first & 0x7f
  const next = at + 1 + count
  if (count < 1 || count > 4 || next > bytes.length) return undefined
  const value = bytes.readUIntBE(at + 1, count)
  const least = count === 1 ? 0x80 : 256 ** (count - 1)
  return value < least ? undefined : { value, next }
}

/** In dotted form. Undefined for what is no OID, or has arcs beyond any that is known here. */
function oidOf(element: Element | undefined): string | undefined {
  if (element?.tag !== tags.oid) return undefined
  const arcs: number[] = []
  let arc = 0
  let within = false
  for (const byte of element.value) {
    if (!within && byte === 0x80) return undefined
    arc = arc * 128 + (byte & 0x7f)
    if (arc > 0xffff_ffff) return undefined
    within = (byte & 0x80) !== 0
    if (within) continue
    arcs.push(arc)
    arc = 0
  }
  const [first, ...rest] = arcs
  if (first === undefined || within) return undefined
  const root = Math.min(2, Math.floor(first / 40))
  return [root, first - root * 40, ...rest].join('.')
}
