// Stand-ins around the keeper of leases.

import type { LeaseObserver } from '../../src/credentials/ports.ts'

const nothing = (): void => undefined

export const silentObserver: LeaseObserver = {
  issued: nothing,
  issueFailed: nothing,
  renewed: nothing,
  renewFailed: nothing,
  revoked: nothing,
  revokeFailed: nothing,
  held: nothing,
  orphaned: nothing,
  problem: nothing,
}
