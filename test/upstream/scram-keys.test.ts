import { describe, expect, it, vi } from 'vitest'
import { Secret } from '../../src/secret.ts'
import { ScramKeys } from '../../src/upstream/scram-keys.ts'
import { type ClientKeys, deriveKeys } from '../../src/wire/scram-client.ts'

const salt = Buffer.from('salt')

function counted(capacity?: number): { readonly keys: ScramKeys; readonly derived: () => number } {
  const derive = vi.fn(deriveKeys)
  const keys = new ScramKeys({ derive, ...(capacity === undefined ? {} : { capacity }) })
  return { keys, derived: () => derive.mock.calls.length }
}

describe('the keys of a credential', () => {
  it('are derived for its first login, and for no other', async () => {
    const { keys, derived } = counted()
    const [first, ...others] = await Promise.all(
      Array.from({ length: 5 }, () => keys.keys(new Secret('pencil'), salt, 4096)),
    )
    expect(derived()).toBe(1)
    const expected: ClientKeys = await deriveKeys(new Secret('pencil'), salt, 4096)
    for (const same of [first, ...others]) expect(same).toEqual(expected)
  })

  it('are others for another password, salt or number of iterations', async () => {
    const { keys, derived } = counted()
    await keys.keys(new Secret('pencil'), salt, 4096)
    await keys.keys(new Secret('pencils'), salt, 4096)
    await keys.keys(new Secret('pencil'), Buffer.from('tlas'), 4096)
    await keys.keys(new Secret('pencil'), salt, 4097)
    expect(derived()).toBe(4)
  })

  it('that were not used for longest make room', async () => {
    const { keys, derived } = counted(2)
    for (const text of ['a', 'b', 'a', 'c', 'a']) await keys.keys(new Secret(text), salt, 1)
    expect(derived()).toBe(3)
    await keys.keys(new Secret('b'), salt, 1)
    expect(derived()).toBe(4)
  })
})
