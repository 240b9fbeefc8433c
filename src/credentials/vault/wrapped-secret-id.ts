// A secret id that was delivered wrapped: the file holds a token with which it can be fetched once. So
// nobody on the way has seen it, or we find the token used and say so. What comes out stays in memory.
// Ignorant of what the secret id is used for.
// Vault's documentation: "Response wrapping", on validation.

import { Secret } from '../../secret.ts'
import { VaultProblem } from './problem.ts'
import type { Ask } from './question.ts'

export class WrappedSecretId {
  readonly #file: string
  readonly #mount: string
  #fetched: { readonly with: Secret; readonly secretId: Secret } | undefined

  constructor(file: string, mount: string) {
    this.#file = file
    this.#mount = mount
  }

  /** `wrapping`: what the file holds. Fetched once for each such token. @throws VaultProblem */
  async secretId(wrapping: Secret, ask: Ask): Promise<Secret> {
    if (this.#fetched?.with.reveal() === wrapping.reveal()) return this.#fetched.secretId
    await this.#check(wrapping, ask)
    const { data } = await ask({
      method: 'POST',
      path: 'sys/wrapping/unwrap',
      token: wrapping,
    }).catch((error: unknown) => {
      throw this.#used(error)
    })
    const value = data['secret_id']
    if (typeof value !== 'string' || value === '') {
      throw new VaultProblem('unauthenticated', `what ${this.#file} unwraps to is no secret id`)
    }
    const secretId = new Secret(value)
    this.#fetched = { with: wrapping, secretId }
    return secretId
  }

  /**
   * Whoever took the secret id out may have wrapped another in its place, of a kind that he made: its
   * path of creation cannot be forged. Of another role it would be of no use with our role id.
   */
  async #check(wrapping: Secret, ask: Ask): Promise<void> {
    const { data } = await ask({
      method: 'POST',
      path: 'sys/wrapping/lookup',
      body: { token: wrapping.reveal() },
    }).catch((error: unknown) => {
      throw this.#used(error)
    })
    const path = data['creation_path']
    const [start, end] = [`auth/${this.#mount}/role/`, '/secret-id']
    const isOurs = typeof path === 'string' && path.startsWith(start) && path.endsWith(end)
    if (!isOurs || path.slice(start.length, -end.length).includes('/')) {
      throw new VaultProblem(
        'unauthenticated',
        `the wrapping token in ${this.#file} was not made by ${start}ROLE${end}: somebody may have exchanged it. Make sure who wrote it, and destroy the secret ids of the role`,
      )
    }
  }

  #used(error: unknown): unknown {
    const refusals = ['denied', 'invalid', 'missing']
    if (!(error instanceof VaultProblem) || !refusals.includes(error.kind)) return error
    return new VaultProblem(
      'unauthenticated',
      `the wrapping token in ${this.#file} is not good any more: it was used, by an earlier start of pgwarden or by somebody who has the secret id now, or it has expired. If it was not pgwarden, destroy the secret ids of the role; then write a new one there (${error.message})`,
    )
  }
}
