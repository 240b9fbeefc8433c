import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Failure } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'
import { deriveVerifier } from '../../src/wire/scram.ts'
import { ScramClient } from '../../src/wire/scram-client.ts'
import {
  challenge,
  mechanisms,
  proves,
  readProof,
  readSaslStart,
  serverFinal,
} from '../../src/wire/scram-server.ts'

const plain = 'SCRAM-SHA-256'
const plus = 'SCRAM-SHA-256-PLUS'
const binding = Buffer.alloc(32, 7)

// RFC 7677, section 3: the only published exchange of SCRAM-SHA-256.
const rfc = {
  clientFirst: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
  serverNonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  serverFirst:
    'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
  clientFinal:
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,' +
    'p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
}
const verifier = await deriveVerifier(
  'pencil',
  Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'),
  4096,
)
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')

function begin(first: string | Buffer, mechanism: typeof plain | typeof plus, bound?: Buffer) {
  const message = typeof first === 'string' ? bytes(first) : first
  return challenge(message, mechanism, bound, verifier, rfc.serverNonce)
}

/** What a client that was challenged with the RFC's example says last. */
const finish = (final: string | Buffer) =>
  readProof(typeof final === 'string' ? bytes(final) : final, begin(rfc.clientFirst, plain))

describe('the SCRAM server', () => {
  it('speaks as RFC 7677 computes it', () => {
    const challenged = begin(rfc.clientFirst, plain)
    expect(challenged.serverFirst.toString()).toBe(rfc.serverFirst)
    const proof = readProof(bytes(rfc.clientFinal), challenged)
    expect(proves(proof, verifier)).toBe(true)
    expect(serverFinal(proof, verifier).toString()).toBe(rfc.serverFinal)
  })

  it('knows a client that has another password', async () => {
    const other = await deriveVerifier('pencils', verifier.salt, 4096)
    expect(proves(finish(rfc.clientFinal), other)).toBe(false)
  })

  it('convinces the client that pgwarden is itself', async () => {
    const client = new ScramClient({ password: new Secret('pencil'), binding: { type: 'none' } })
    const challenged = challenge(client.first(), plain, undefined, verifier)
    const proof = readProof(await client.final(challenged.serverFirst), challenged)
    expect(proves(proof, verifier)).toBe(true)
    expect(() => client.verify(serverFinal(proof, verifier))).not.toThrow()
  })

  it('adds a nonce of its own, another each time', () => {
    const nonces = Array.from(
      { length: 50 },
      () => challenge(bytes(rfc.clientFirst), plain, undefined, verifier).nonce,
    )
    expect(new Set(nonces).size).toBe(50)
    for (const nonce of nonces) expect(nonce).toMatch(/^rOprNGfwEbeRWgbNEkqO[A-Za-z0-9+/]{24}$/)
  })

  it('signs the user name as it came, and ignores it', () => {
    const challenged = begin(Buffer.from('y,,n=jürgen=2C,r=abc,x=any'), plain)
    expect(bytes(challenged.clientFirstBare)).toEqual(Buffer.from('n=jürgen=2C,r=abc,x=any'))
    expect(challenged.binding).toBe('eSws')
  })
})

describe('channel binding', () => {
  const first = 'p=tls-server-end-point,,n=,r=abc'
  const cbind = Buffer.concat([bytes('p=tls-server-end-point,,'), binding]).toString('base64')
  const proof = `p=${Buffer.alloc(32).toString('base64')}`

  it('is offered first, where there is something to bind to', () => {
    expect(mechanisms(binding)).toEqual([plus, plain])
    expect(mechanisms(undefined)).toEqual([plain])
  })

  it('is bound to the certificate that the client was shown', () => {
    const challenged = begin(first, plus, binding)
    const final = `c=${cbind},r=${challenged.nonce},${proof}`
    expect(readProof(bytes(final), challenged).authMessage.toString()).toBe(
      `n=,r=abc,${challenged.serverFirst.toString()},c=${cbind},r=${challenged.nonce}`,
    )
    const elsewhere = Buffer.concat([bytes('p=tls-server-end-point,,'), Buffer.alloc(32, 8)])
    for (const other of [elsewhere.toString('base64'), 'biws', 'eSws', cbind.slice(0, -4), '']) {
      expect(() =>
        readProof(bytes(`c=${other},r=${challenged.nonce},${proof}`), challenged),
      ).toThrow(expect.objectContaining({ sqlstate: '28000' }))
    }
  })

  it('cannot be taken out of the offer unnoticed', () => {
    expect(() => begin('y,,n=,r=abc', plain, binding)).toThrow(
      expect.objectContaining({
        sqlstate: '28000',
        message: 'SCRAM channel binding negotiation error',
      }),
    )
  })

  it('is not missed by a client that cannot bind, or was offered none', () => {
    expect(begin('n,,n=,r=abc', plain, binding).binding).toBe('biws')
    expect(begin('y,,n=,r=abc', plain).binding).toBe('eSws')
  })

  it.each([
    ['n,,n=,r=abc', plus],
    ['y,,n=,r=abc', plus],
    ['p=tls-unique,,n=,r=abc', plus],
    ['p=tls-exporter,,n=,r=abc', plus],
    ['p=,,n=,r=abc', plus],
    ['p=tls-server-end-point,,n=,r=abc', plain],
  ] as const)('is refused as %j with %s', (said, mechanism) => {
    expect(() => begin(said, mechanism, binding)).toThrow(
      expect.objectContaining({ sqlstate: '08P01' }),
    )
  })
})

describe('a first message', () => {
  it.each([
    '',
    ',',
    'n',
    'n,',
    'n,,',
    'n,,n=,r=',
    'n,,n=',
    'n,,r=abc',
    'n,,r=abc,n=',
    'n,,n=,s=abc',
    'n,,n=,r=a b',
    'n,,n=,r=a\x7f',
    'n,,n=,r=abc,',
    'n,,n=,r=abc,x',
    'n,,n=,r=abc,x=',
    'n,,n=,r=abc,1=x',
    'n,,n=,r=abc\0',
    'N,,n=,r=abc',
    'n ,,n=,r=abc',
    'n,b=x,n=,r=abc',
    `n,,n=,r=${'a'.repeat(1020)}`,
  ])('is refused as %j', (said) => {
    expect(() => begin(said, plain)).toThrow(expect.objectContaining({ sqlstate: '08P01' }))
  })

  it.each(['n,a=bob,n=,r=abc', 'n,,m=x,n=,r=abc', 'n,,n=,r=abc,m=x'])(
    'is refused as unsupported as %j',
    (said) => {
      expect(() => begin(said, plain)).toThrow(expect.objectContaining({ sqlstate: '0A000' }))
    },
  )
})

describe('a final message', () => {
  const [binds = '', nonce = '', proof = ''] = rfc.clientFinal.split(',')

  it.each([
    '',
    'c=biws',
    `${nonce},${proof}`,
    `${binds},${proof}`,
    `${binds},${nonce}`,
    `${binds},${nonce},`,
    `${binds},${nonce},p=`,
    `${binds},${nonce},p=AAAA`,
    `${binds},${nonce},${proof}=`,
    `${binds},${nonce},${proof},x=y`,
    `${binds},${nonce},${proof.replace('VQ=', 'VR=')}`,
    `${binds},${nonce}x,${proof}`,
    `${binds},r=rOprNGfwEbeRWgbNEkqO,${proof}`,
    `c=eSws,${nonce},${proof}`,
    `c=biws=,${nonce},${proof}`,
    `${nonce},${binds},${proof}`,
    `${binds},${nonce},x,${proof}`,
    `${binds},${nonce},${proof}\0`,
  ])('is refused as %j', (said) => {
    expect(() => finish(said)).toThrow(expect.objectContaining({ sqlstate: '08P01' }))
  })

  it('is refused with a mandatory extension', () => {
    expect(() => finish(`${binds},${nonce},m=x,${proof}`)).toThrow(
      expect.objectContaining({ sqlstate: '0A000' }),
    )
  })

  it('proves nothing any more when a single byte of it was changed', () => {
    const good = bytes(rfc.clientFinal)
    for (let at = 0; at < good.length; at++) {
      for (const bit of [1, 2, 4, 8, 16, 32, 64, 128]) {
        const bad = Buffer.from(good)
        bad.writeUInt8(bad.readUInt8(at) ^ bit, at)
        expect(accepted(bad), `bit ${String(bit)} of byte ${String(at)}`).toBe(false)
      }
    }
  })

  it('proves nothing for a first message that was changed on its way', () => {
    const good = bytes(rfc.clientFirst)
    for (let at = 3; at < good.length; at++) {
      const bad = Buffer.from(good)
      bad.writeUInt8(bad.readUInt8(at) ^ 1, at)
      const proven = ((): boolean => {
        try {
          return proves(readProof(bytes(rfc.clientFinal), begin(bad, plain)), verifier)
        } catch (error) {
          if (error instanceof Failure) return false
          throw error
        }
      })()
      expect(proven, `byte ${String(at)}`).toBe(false)
    }
  })
})

/** Whether the RFC's client is let in with this final message. */
function accepted(final: Buffer): boolean {
  try {
    return proves(finish(final), verifier)
  } catch (error) {
    if (error instanceof Failure) return false
    throw error
  }
}

describe('an answer to the offer', () => {
  const start = (mechanism: string, data: Buffer | null): Buffer => {
    const length = Buffer.alloc(4)
    length.writeInt32BE(data?.length ?? -1)
    return Buffer.concat([bytes(`${mechanism}\0`), length, data ?? Buffer.alloc(0)])
  }

  it('names a mechanism, and may leave the rest to the next message', () => {
    const clientFirst = bytes('n,,n=,r=abc')
    expect(readSaslStart(start(plain, clientFirst), undefined)).toEqual({
      mechanism: plain,
      clientFirst,
    })
    expect(readSaslStart(start(plus, null), binding)).toEqual({
      mechanism: plus,
      clientFirst: undefined,
    })
  })

  it.each(['OAUTHBEARER', 'SCRAM-SHA-1', 'scram-sha-256', '', plus])(
    'may not be %j, which was not offered',
    (mechanism) => {
      expect(() => readSaslStart(start(mechanism, bytes('n,,')), undefined)).toThrow(
        expect.objectContaining({
          sqlstate: '08P01',
          message: 'client selected an invalid SASL authentication mechanism',
          detail: 'Offered were: SCRAM-SHA-256.',
        }),
      )
    },
  )

  it('is never repeated, since it may be a password', () => {
    try {
      readSaslStart(bytes('pgw_secret\0'), undefined)
      expect.unreachable()
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      expect(JSON.stringify([error.message, error.detail, error.hint])).not.toContain('secret')
    }
  })

  it('is used up exactly', () => {
    const good = start(plain, bytes('n,,n=,r=abc'))
    for (const bad of [
      good.subarray(0, -1),
      Buffer.concat([good, bytes('x')]),
      bytes('SCRAM-SHA-256\0\x80\0\0\0'),
      bytes('SCRAM-SHA-256'),
      bytes('SCRAM-SHA-256\0'),
    ]) {
      expect(() => readSaslStart(bad, undefined)).toThrow(
        expect.objectContaining({ sqlstate: '08P01' }),
      )
    }
  })
})

describe('any bytes', () => {
  const noise = fc.uint8Array({ maxLength: 1200 }).map((array) => Buffer.from(array))
  const field = fc.oneof(
    fc.constantFrom('n', 'y', 'p=tls-server-end-point', '', 'n=', 'r=abc', 'c=biws', 'm=x', 'a=b'),
    fc
      .tuple(fc.constantFrom('n', 'r', 'c', 'p', 'm', 'x'), fc.string())
      .map((pair) => pair.join('=')),
  )
  const almost = fc.array(field, { maxLength: 8 }).map((fields) => Buffer.from(fields.join(',')))
  const mutated = fc
    .tuple(
      fc.constantFrom(rfc.clientFirst, rfc.clientFinal, 'p=tls-server-end-point,,n=,r=abc'),
      fc.array(fc.tuple(fc.nat(140), fc.nat(255)), { maxLength: 3 }),
    )
    .map(([text, changes]) => {
      const message = bytes(text)
      for (const [at, byte] of changes) message[at % message.length] = byte
      return message
    })

  it('are either read or a Failure that a client may see', () => {
    const mechanism = fc.constantFrom(plain, plus)
    const bound = fc.constantFrom(undefined, binding)
    const message = fc.oneof(noise, almost, mutated)
    const tried = (work: () => unknown): void => {
      try {
        work()
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        expect(['08P01', '28000', '0A000']).toContain(error.sqlstate)
        expect(error.severity).toBe('FATAL')
      }
    }
    fc.assert(
      fc.property(message, mechanism, bound, (said, chosen, data) => {
        tried(() => begin(said, chosen, data))
        tried(() => readSaslStart(said, data))
        tried(() => proves(finish(said), verifier))
        return said.equals(bytes(rfc.clientFinal)) || !accepted(said)
      }),
      { numRuns: 3000 },
    )
  })
})
