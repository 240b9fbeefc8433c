// Who a client says it is: `alice`, or `alice/<token id>` where one of her tokens is meant and no other.
// Ignorant of whether it is true.

import { isId } from './id.ts'

export interface Claim {
  readonly principal: string
  /** The token that the client says it has, where it says so. */
  readonly tokenId: string | undefined
}

/** What the user name of a startup packet claims. No principal ends like `/<token id>` (grant.ts). */
export function claimOf(user: string): Claim {
  const slash = user.lastIndexOf('/')
  const id = user.slice(slash + 1)
  return slash > 0 && isId(id)
    ? { principal: user.slice(0, slash), tokenId: id }
    : { principal: user, tokenId: undefined }
}
