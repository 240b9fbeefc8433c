// What an access token is good for, in words.

import type { TokenKind } from '../access/access.ts'

export const tokenKinds: readonly TokenKind[] = ['one-time', 'single-use', 'reusable']

const uses = {
  'one-time': 'The token is good for one sitting from one address',
  'single-use': 'The token is good for exactly one login',
  reusable: 'The token can be used until the grant ends',
} as const satisfies Record<TokenKind, string>

/** A sentence. `redeemBy` as it is to be shown. */
export function tokenTerms(kind: TokenKind, redeemBy: string | undefined): string {
  return redeemBy === undefined ? `${uses[kind]}.` : `${uses[kind]}, to be begun by ${redeemBy}.`
}
