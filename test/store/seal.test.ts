// What processes tell each other, as somebody sees it who may only listen and notify.

import { describe, expect, it } from 'vitest'
import { seal, unseal } from '../../src/store/seal.ts'

const key = Buffer.alloc(32, 7)

describe('a sealed notice', () => {
  it('is read by whoever has the key', () => {
    expect(unseal(key, seal(key, '{"topic":"cancel"}'))).toBe('{"topic":"cancel"}')
  })

  it('shows nothing of what it says, and never looks the same twice', () => {
    const one = seal(key, 'digest')
    expect(Buffer.from(one, 'base64url').toString('latin1')).not.toContain('digest')
    expect(seal(key, 'digest')).not.toBe(one)
  })

  it('is nothing when it was made with another key, changed or cut', () => {
    const sealed = seal(key, 'cancel')
    const bytes = Buffer.from(sealed, 'base64url')
    expect(unseal(Buffer.alloc(32, 8), sealed)).toBeUndefined()
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] ?? 0) ^ 1
      expect(unseal(key, changed.toString('base64url'))).toBeUndefined()
      expect(unseal(key, bytes.subarray(0, at).toString('base64url'))).toBeUndefined()
    }
    expect(unseal(key, 'hello')).toBeUndefined()
    expect(unseal(key, '')).toBeUndefined()
  })
})
