// Everything that `serve` would need, looked at in the order in which one thing stands on another. What
// could only fail because of what failed before it is left out. Leaves nothing behind and disturbs no
// pgwarden that runs. Ignorant of how anything is done: what can be examined is handed in.

import { type Circumstances, type Finding, fail, warn } from './finding.ts'
import { examinePremises, type Premises } from './premises.ts'
import { type BrokerLogin, examineBroker, examineMonitor, type OwnLogin } from './rights.ts'
import { examineServers, type TargetServer } from './target.ts'
import { examineTrial, type Trial } from './trial.ts'
import { type ExaminedVault, examineVault, type VaultState } from './vault.ts'

export interface Deployment {
  readonly premises: Premises
  readonly vault: ExaminedVault | undefined
  readonly targets: readonly ExaminedTarget[]
}

export interface ExaminedTarget {
  readonly name: string
  readonly servers: readonly TargetServer[]
  readonly broker: BrokerLogin | undefined
  readonly monitor: OwnLogin | undefined
  /** Whether a login to it, for whomever, comes from Vault. */
  readonly needsVault: boolean
  /** One for each pgwarden role. */
  readonly trials: readonly Trial[]
}

/** Ends early, with everything taken back, when the signal of `circumstances` is aborted. */
export async function* examine(
  deployment: Deployment,
  circumstances: Circumstances,
): AsyncGenerator<Finding, void> {
  for await (const finding of examineAll(deployment, circumstances)) {
    // What was broken off is no finding.
    if (circumstances.signal.aborted) return
    yield finding
  }
}

async function* examineAll(
  { premises, vault, targets }: Deployment,
  circumstances: Circumstances,
): AsyncGenerator<Finding, void> {
  yield* examinePremises(premises, circumstances)
  const state = vault === undefined ? 'works' : yield* examineVault(vault, circumstances)
  for (const target of targets) yield* examineTarget(target, state, circumstances)
}

async function* examineTarget(
  target: ExaminedTarget,
  vault: VaultState,
  circumstances: Circumstances,
): AsyncGenerator<Finding, void> {
  const { name, servers, broker, monitor, needsVault, trials } = target
  if ((yield* examineServers(name, servers, circumstances)) === 0) return
  if (needsVault && vault !== 'works') {
    yield* withoutVault(name, vault)
    return
  }
  const looks = monitor !== undefined && (yield* examineMonitor(name, monitor, circumstances))
  if (broker !== undefined && !(yield* examineBroker(name, broker, circumstances))) return
  for (const trial of trials) yield* examineTrial(name, trial, looks, circumstances)
}

function* withoutVault(target: string, vault: 'broken' | 'untouched'): Generator<Finding> {
  const subject = `target ${target}`
  const message = 'its logins come from Vault, and were not tried'
  yield vault === 'broken'
    ? fail(subject, message, 'Correct what was found at Vault, and run the doctor again.')
    : warn(subject, message, 'Start serve, and log in once.')
}
