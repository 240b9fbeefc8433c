import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  clientKey,
  saltedPassword,
  scramVerifier,
  serverKey,
  storedKey,
} from '../../src/wire/scram.ts'

// RFC 7677, section 3: the exchange of user "user" with password "pencil".
const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
const authMessage =
  'n=user,r=rOprNGfwEbeRWgbNEkqO,' +
  'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,' +
  'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
const sign = (key: Buffer) => createHmac('sha256', key).update(authMessage).digest()

describe('the keys of SCRAM-SHA-256', () => {
  it('give the proof and the signature of the example in RFC 7677', async () => {
    const salted = await saltedPassword('pencil', salt, 4096)
    const key = clientKey(salted)
    const signature = sign(storedKey(key))
    const proof = Buffer.from(key.map((byte, i) => byte ^ signature.readUInt8(i)))
    expect(proof.toString('base64')).toBe('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=')
    expect(sign(serverKey(salted)).toString('base64')).toBe(
      '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
    )
  })

  it('make the verifier that PostgreSQL stores', async () => {
    const salted = await saltedPassword('pencil', salt, 4096)
    const verifier = await scramVerifier('pencil', salt, 4096)
    expect(verifier).toMatch(/^SCRAM-SHA-256\$4096:[\w+/=]+\$[\w+/=]{44}:[\w+/=]{44}$/)
    expect(verifier).toContain(storedKey(clientKey(salted)).toString('base64'))
    expect(verifier).not.toContain('pencil')
  })
})
