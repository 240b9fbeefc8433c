import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { tlsServerEndPoint } from '../../src/wire/channel-binding.ts'

// Made by openssl; the keys are thrown away.
const ecdsaWithSha384 = [
  'MIIBbzCCARWgAwIBAgIUSf5hsyO0viTzQPAU1CcbQC+RTg4wCgYIKoZIzj0EAwMwDDEKMAgGA1UEAwwBeDAgFw0y',
  'NjExMjExODEyNTNaGA8yMTI2MTAyODE4MTI1M1owDDEKMAgGA1UEAwwBeDBZMBMGByqGSM49AgEGCCqGSM49AwEH',
  'A0IABHK7qcdP5OXalszjGVE7GQr4SyOtU5KsoQJiw0n/q5oROYiwrEui2pEBfgkgpoxfTBo1J6XSpEbMyptM+Eg4',
  'WW+jUzBRMB0GA1UdDgQWBBS/HkmSEfzNyT+pGuu2qq47wYKGlzAfBgNVHSMEGDAWgBS/HkmSEfzNyT+pGuu2qq47',
  'wYKGlzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMDA0gAMEUCIQDUoiOdP/ACR1KIhjeeUBHp1XKMmQ5jpwHz',
  '/zPryc8UkAIgAoXCdB3G9yLVQFCkibar3Kr+XOCthbOyVGL9AK8Yg7g=',
].join('')
const ed25519 = [
  'MIIBLjCB4aADAgECAhQQBYTvnN5F3zN2pg/TkqRfVmtPVTAFBgMrZXAwDDEKMAgGA1UEAwwBeDAgFw0yNjExMjEx',
  'ODEyNTNaGA8yMTI2MTAyODE4MTI1M1owDDEKMAgGA1UEAwwBeDAqMAUGAytlcAMhAOcydTzapn6lf/b0oqjGwXo6',
  'Ltl6UCSn+mPbWFAkypRXo1MwUTAdBgNVHQ4EFgQULNMb+hKt4p5yB/My8SiuDp5jqmUwHwYDVR0jBBgwFoAULNMb',
  '+hKt4p5yB/My8SiuDp5jqmUwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXADQQBsOGg9jABFNcYewapquO2smHzp3JIL',
  '12eeLtHMzFdppvEC6hXGWmJ+2oFPetppNpju5f1vVBNs5N/Npfk5FaYD',
].join('')

const real = (base64: string): Buffer => Buffer.from(base64, 'base64')

function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const value = Buffer.concat(content)
  return Buffer.concat([Buffer.from([tag, value.length]), value])
}

const sequence = (...content: readonly Buffer[]): Buffer => der(0x30, ...content)
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'))
const nil = der(0x05)
const signature = der(0x03, Buffer.from([0, 1, 2, 3]))

/** The least that has the shape of a certificate. */
const certificate = (...algorithm: readonly Buffer[]): Buffer =>
  sequence(sequence(der(0x02, Buffer.from([1]))), sequence(...algorithm), signature)

const pss = '2a864886f70d01010a'
const sha512 = '608648016503040203'

describe('tls-server-end-point', () => {
  it.each([
    ['sha256WithRSAEncryption', 'sha256', [oid('2a864886f70d01010b'), nil]],
    ['sha384WithRSAEncryption', 'sha384', [oid('2a864886f70d01010c'), nil]],
    ['sha512WithRSAEncryption', 'sha512', [oid('2a864886f70d01010d'), nil]],
    ['ecdsa-with-SHA256', 'sha256', [oid('2a8648ce3d040302')]],
    ['md5WithRSAEncryption', 'sha256', [oid('2a864886f70d010104'), nil]],
    ['sha1WithRSAEncryption', 'sha256', [oid('2a864886f70d010105'), nil]],
    ['dsa-with-sha256', 'sha256', [oid('608648016503040302')]],
    ['RSASSA-PSS without parameters of its own', 'sha256', [oid(pss), sequence()]],
    [
      'RSASSA-PSS with SHA-512',
      'sha512',
      [oid(pss), sequence(der(0xa0, sequence(oid(sha512), nil)), der(0xa2, nil))],
    ],
  ])('of a certificate signed with %s is its %s', (_, hash, algorithm) => {
    const bytes = certificate(...algorithm)
    expect(tlsServerEndPoint(bytes)).toEqual(createHash(hash).update(bytes).digest())
  })

  it('of a real certificate is as RFC 5929 says', () => {
    const bytes = real(ecdsaWithSha384)
    expect(tlsServerEndPoint(bytes)).toEqual(createHash('sha384').update(bytes).digest())
  })

  it('is not defined for Ed25519, whose signature has no hash to name', () => {
    expect(tlsServerEndPoint(real(ed25519))).toBeUndefined()
  })

  it.each([
    ['an unknown algorithm', certificate(oid('2a0304'))],
    ['RSASSA-PSS without its hash', certificate(oid(pss))],
    ['RSASSA-PSS with an unknown hash', certificate(oid(pss), sequence(der(0xa0, sequence(nil))))],
    ['no algorithm', certificate()],
    ['an OID that ends within an arc', certificate(oid('2a864886f70d0101ff'))],
    ['an OID with padding', certificate(oid('2a8080864886f70d01010b'))],
    ['nothing', Buffer.alloc(0)],
    ['a certificate cut short', real(ecdsaWithSha384).subarray(0, -1)],
    ['a byte behind the certificate', Buffer.concat([real(ecdsaWithSha384), Buffer.alloc(1)])],
    ['an indefinite length', Buffer.from('3080300030000300' + '0000', 'hex')],
    ['a length in more bytes than it takes', Buffer.from('308109300030000303000102', 'hex')],
    ['a length beyond all memory', Buffer.from('3084ffffffff', 'hex')],
  ])('is not defined for %s', (_, bytes) => {
    expect(tlsServerEndPoint(bytes)).toBeUndefined()
  })
})
