// A signing key that stays in Vault: its transit engine signs, and tells the public keys of all versions of
// the key that are still there. The version in use may change at any time. Ignorant of what is signed.
// Vault documentation: "Transit secrets engine".

import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { VaultProblem } from './problem.ts'
import type { Vault } from './vault.ts'

export interface TransitKey {
  /** Of the engine. */
  readonly mount: string
  readonly name: string
}

export interface TransitSignature {
  readonly signature: Buffer
  /** Of the version that signed. */
  readonly publicKey: KeyObject
}

export class TransitSigner {
  readonly #vault: Vault
  readonly #key: TransitKey
  #publicKeys: ReadonlyMap<number, KeyObject> = new Map()

  constructor(vault: Vault, key: TransitKey) {
    this.#vault = vault
    this.#key = key
  }

  /** Asks once: who signs regularly tries again anyway. @throws VaultProblem, or the reason of the signal. */
  async sign(text: Buffer, signal: AbortSignal): Promise<TransitSignature> {
    const path = `${this.#key.mount}/sign/${this.#key.name}`
    const once = { waitMs: 0, signal }
    const { data } = await this.#vault.write(path, { input: text.toString('base64') }, once)
    const [, version, base64] =
      /^vault:v([1-9]\d{0,8}):([A-Za-z0-9+/]{86}==)$/.exec(String(data['signature'])) ?? []
    if (version === undefined || base64 === undefined) {
      throw unusable(path, 'the answer is no signature of Ed25519')
    }
    const publicKey = await this.#publicKeyOf(Number(version), signal)
    const signature = Buffer.from(base64, 'base64')
    // Of a derived key, or another's: nobody could verify it later.
    if (!verify(null, text, publicKey, signature)) {
      throw unusable(path, 'the signature does not fit the public key that Vault tells')
    }
    return { signature, publicKey }
  }

  /** Of all versions, by number. @throws VaultProblem */
  async publicKeys(signal?: AbortSignal): Promise<ReadonlyMap<number, KeyObject>> {
    const path = `${this.#key.mount}/keys/${this.#key.name}`
    const { data } = await this.#vault.read(path, signal === undefined ? {} : { waitMs: 0, signal })
    const { type, keys } = data
    if (type !== 'ed25519' || typeof keys !== 'object' || keys === null) {
      throw unusable(path, 'it is no key of the type ed25519')
    }
    return new Map(
      Object.entries(keys).map(([version, told]) => [Number(version), keyOf(path, told)]),
    )
  }

  async #publicKeyOf(version: number, signal: AbortSignal): Promise<KeyObject> {
    if (!this.#publicKeys.has(version)) this.#publicKeys = await this.publicKeys(signal)
    const key = this.#publicKeys.get(version)
    if (key !== undefined) return key
    throw unusable(this.#key.name, `Vault does not tell its version ${version}`)
  }
}

/** 32 bytes (RFC 8032), as the member `x` of a JSON Web Key has them (RFC 8037). */
function keyOf(path: string, told: unknown): KeyObject {
  const publicKey =
    typeof told === 'object' && told !== null && 'public_key' in told ? told.public_key : undefined
  const bytes = Buffer.from(String(publicKey), 'base64')
  if (bytes.length !== 32) throw unusable(path, 'it tells no public key')
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') }
  return createPublicKey({ key: jwk, format: 'jwk' })
}

function unusable(path: string, why: string): VaultProblem {
  return new VaultProblem('invalid', `${path} of Vault cannot sign checkpoints: ${why}`)
}
