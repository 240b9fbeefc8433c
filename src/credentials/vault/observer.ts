// What the Vault client tells of itself, for metrics and the log. Implemented by telemetry/; a command that
// asks Vault once or twice has nobody to tell.

import type { VaultProblemKind } from './problem.ts'

export interface VaultObserver {
  /** A question to Vault has ended, whichever server answered it. */
  asked(result: 'ok' | VaultProblemKind, ms: number): void
  /** While the breaker is open, Vault is asked nothing. */
  breaker(isOpen: boolean): void
  /** Milliseconds since the epoch; undefined: the token never ends. Told again when it was renewed. */
  tokenEnds(at: number | undefined): void
  /** A renewal or a login in the background failed, or the token ends and cannot be renewed. */
  problem(error: unknown): void
}

export const unobserved: VaultObserver = {
  asked: () => undefined,
  breaker: () => undefined,
  tokenEnds: () => undefined,
  problem: () => undefined,
}
