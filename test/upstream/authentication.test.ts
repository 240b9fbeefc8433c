import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { Secret } from '../../src/secret.ts'
import { Authentication, type Surroundings } from '../../src/upstream/authentication.ts'
import type { AuthenticationTerms, AuthMethod } from '../../src/upstream/target.ts'
import type { BackendMessage } from '../../src/wire/backend.ts'
import { deriveKeys } from '../../src/wire/scram-client.ts'

const identity = { user: 'alice', password: new Secret('pencil') }
const plain: Surroundings = { encryption: 'none', endPoint: undefined, loopback: false }
const tls: Surroundings = { encryption: 'tls', endPoint: Buffer.from('end point'), loopback: false }
const everything: readonly AuthMethod[] = ['scram-sha-256', 'md5', 'password', 'none']

function authentication(
  around: Surroundings,
  terms: Partial<AuthenticationTerms> = {},
): Authentication {
  const all = { requireAuth: everything, channelBinding: 'prefer', ...terms } as const
  return new Authentication(all, identity, around, deriveKeys)
}

const ok: BackendMessage = { type: 'authenticationOk' }
const cleartext: BackendMessage = { type: 'authenticationCleartextPassword' }
const md5: BackendMessage = { type: 'authenticationMD5Password', salt: Buffer.from('salt') }
const sasl = (...mechanisms: readonly string[]): BackendMessage => ({
  type: 'authenticationSASL',
  mechanisms,
})
const both = sasl('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256')

/** The text of a password message, without its header. */
async function said(to: Authentication, message: BackendMessage): Promise<string | undefined> {
  return (await to.answer(message))?.toString('latin1', 5)
}

describe('a server that asks for', () => {
  it('the password gets it inside TLS, and on this machine', async () => {
    expect(await said(authentication(tls), cleartext)).toBe('pencil\0')
    expect(await said(authentication({ ...plain, loopback: true }), cleartext)).toBe('pencil\0')
    await expect(said(authentication(plain), cleartext)).rejects.toThrow('and there is no TLS')
  })

  it('MD5 gets what PostgreSQL documents', async () => {
    const hash = (text: string): string => createHash('md5').update(text).digest('hex')
    const expected = `md5${hash(`${hash('pencilalice')}salt`)}\0`
    expect(await said(authentication(plain), md5)).toBe(expected)
  })

  it('SCRAM gets it bound to TLS where it offers that', async () => {
    expect(await said(authentication(tls), both)).toMatch(
      /^SCRAM-SHA-256-PLUS\0.{4}p=tls-server-end-point,,n=,r=/s,
    )
  })

  it.each([
    [
      'that we could have bound it, where it does not offer that',
      tls,
      {},
      ['SCRAM-SHA-256'],
      'y,,',
    ],
    ['nothing of binding without TLS', plain, {}, ['SCRAM-SHA-256'], 'n,,'],
    [
      'nothing of binding where that is switched off',
      tls,
      { channelBinding: 'disable' },
      undefined,
      'n,,',
    ],
    [
      'nothing of binding where the certificate defines none, whatever it offers',
      { ...tls, endPoint: undefined },
      {},
      undefined,
      'n,,',
    ],
  ] as const)('SCRAM is told %s', async (_, around, terms, offered, header) => {
    const request = offered === undefined ? both : sasl(...offered)
    const first = await said(authentication(around, terms), request)
    expect(first).toMatch(new RegExp(`^SCRAM-SHA-256\\0.{4}${header}n=,r=`, 's'))
  })

  it.each([
    [7, 'GSSAPI'],
    [9, 'SSPI'],
    [2, 'Kerberos V5'],
    [99, 'authentication method 99'],
  ])('method %i is refused with what to do', async (code, name) => {
    await expect(said(authentication(tls), { type: 'authenticationOther', code })).rejects.toThrow(
      `asks for ${name}, which is not supported; let pgwarden in by scram-sha-256`,
    )
  })

  it('SASL of other kinds is refused', async () => {
    await expect(said(authentication(tls), sasl('OAUTHBEARER'))).rejects.toThrow(
      'offers OAUTHBEARER, and not SCRAM-SHA-256',
    )
    await expect(said(authentication(plain), both)).rejects.toThrow(
      'offers SCRAM-SHA-256-PLUS without TLS',
    )
  })

  it.each([
    ['md5', md5],
    ['password', cleartext],
    ['scram-sha-256', both],
    ['none', ok],
  ] as const)('%s is refused where it is not named', async (method, message) => {
    const others = everything.filter((other) => other !== method)
    await expect(said(authentication(tls, { requireAuth: others }), message)).rejects.toThrow(
      'which requireAuth does not allow',
    )
    const only = authentication(tls, { requireAuth: [method] })
    await expect(said(only, message)).resolves.not.toThrow()
  })

  it.each([
    ['md5', md5],
    ['the password', cleartext],
    ['nothing', ok],
    ['SCRAM without binding', sasl('SCRAM-SHA-256')],
  ])('%s gets nothing where binding is required', async (_, message) => {
    const required = authentication(tls, { channelBinding: 'require' })
    await expect(said(required, message)).rejects.toThrow('channelBinding requires')
    expect(required.over).toBe(false)
  })
})

describe('a server that lets us in', () => {
  it('without a word is one that trusts us', async () => {
    const trusted = authentication(plain)
    await trusted.answer(ok)
    expect(trusted.over).toBe(true)
  })

  it('before it has proved itself is an impostor', async () => {
    const started = authentication(tls)
    await started.answer(both)
    await expect(started.answer(ok)).rejects.toThrow('sent authenticationOk out of order')

    const nearly = authentication(tls)
    const nonce = /r=(.+)$/.exec((await said(nearly, both)) ?? '')?.[1] ?? ''
    const data = Buffer.from(`r=${nonce}x,s=AAAA,i=1`)
    await nearly.answer({ type: 'authenticationSASLContinue', data })
    await expect(nearly.answer(ok)).rejects.toThrow('sent authenticationOk out of order')
    const lie = { type: 'authenticationSASLFinal', data: Buffer.from('v=AAAA') } as const
    await expect(nearly.answer(lie)).rejects.toThrow('could not prove')
  })

  it('goes straight on to the session only when it has said so', async () => {
    const ready = { type: 'readyForQuery', status: 'I' } as const
    await expect(authentication(plain).answer(ready)).rejects.toThrow('before it had let us in')
  })

  it('asks once', async () => {
    const asked = authentication(tls)
    await asked.answer(md5)
    await expect(asked.answer(cleartext)).rejects.toThrow('out of order')
    const sent = authentication(tls)
    await sent.answer(both)
    await expect(sent.answer(both)).rejects.toThrow('out of order')
  })
})
