import { verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { TransitSigner } from '../../../src/credentials/vault/transit.ts'
import { problemFrom, refusedConnection, vaultInMemory } from '../../support/vault-in-memory.ts'

const text = Buffer.from('pgwarden checkpoint 1\n')
const key = { mount: 'transit', name: 'audit' }
const patient = new AbortController().signal

function withKey() {
  const memory = vaultInMemory()
  memory.state.rotateKey('audit')
  return { ...memory, signer: new TransitSigner(memory.vault, key) }
}

describe('a signing key in Vault', () => {
  it('signs what anybody can verify with the public key that Vault tells', async () => {
    const { signer } = withKey()
    const { signature, publicKey } = await signer.sign(text, patient)
    expect(verify(null, text, publicKey, signature)).toBe(true)
    expect([...(await signer.publicKeys()).keys()]).toEqual([1])
  })

  it('is asked for its public keys once for each version, and signs with the newest', async () => {
    const { signer, state, paths } = withKey()
    const first = await signer.sign(text, patient)
    await signer.sign(text, patient)
    state.rotateKey('audit')
    const second = await signer.sign(text, patient)
    expect(second.publicKey.equals(first.publicKey)).toBe(false)
    expect(verify(null, text, second.publicKey, second.signature)).toBe(true)
    expect(paths().filter((path) => path === 'transit/keys/audit')).toHaveLength(2)
    expect([...(await signer.publicKeys()).keys()]).toEqual([1, 2])
  })

  it('is tried once while Vault is down, and used again when it is back', async () => {
    const { signer, meet, paths } = withKey()
    await signer.publicKeys()
    meet(() => refusedConnection())
    const before = paths().length
    expect(await problemFrom(signer.sign(text, patient))).toMatchObject({ kind: 'unreachable' })
    expect(paths().length - before).toBe(1)
    meet(undefined)
    await expect(signer.sign(text, patient)).resolves.toBeDefined()
  })

  it.each([
    ['of another type', { type: 'rsa-2048', keys: {} }, 'no key of the type ed25519'],
    ['without a public key', { type: 'ed25519', keys: { 1: {} } }, 'tells no public key'],
    ['of which the version that signed is gone', { type: 'ed25519', keys: {} }, 'version 1'],
  ])('%s is refused by name', async (_, data, words) => {
    const { signer, meet } = withKey()
    meet(({ url }) =>
      url.pathname.endsWith('/keys/audit')
        ? { status: 200, retryAfter: undefined, body: JSON.stringify({ data }) }
        : undefined,
    )
    expect((await problemFrom(signer.sign(text, patient)))?.message).toContain(words)
  })

  it('whose signature does not fit is not believed', async () => {
    const { signer, meet } = withKey()
    const other = Buffer.alloc(64, 1).toString('base64')
    const data = { signature: `vault:v1:${other}` }
    meet(({ url }) =>
      url.pathname.endsWith('/sign/audit')
        ? { status: 200, retryAfter: undefined, body: JSON.stringify({ data }) }
        : undefined,
    )
    expect((await problemFrom(signer.sign(text, patient)))?.message).toContain('does not fit')
  })
})
