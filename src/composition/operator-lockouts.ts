// What operators do to lock-outs on the command line: list and lift, for when whoever could ask the API is the one
// who is locked out. Each is a process of its own that writes into the store and into the operators' chain of the
// journal, as with grants (operator.ts). Proxies look into the store at each login, so they need no notice.

import { recordAlone } from '../access/ledger.ts'
import { type LockOut, LoginGuard } from '../access/login-guard.ts'
import { systemClock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import { Failure } from '../errors.ts'
import type { Store } from '../store/store.ts'
import { ledger, withStore } from './operator.ts'
import { operator } from './operator-journal.ts'

export function listLockOuts(config: Config): Promise<readonly LockOut[]> {
  return withStore(config, (store) => guard(config, store).list())
}

/** @throws Failure not_found when there is none of that id, or it is over. */
export function liftLockOut(config: Config, id: string): Promise<void> {
  return withStore(config, async (store) => {
    if (await guard(config, store).lift(operator(), id)) return
    throw new Failure('not_found', {
      message: `there is no lock-out "${id}", or it is over`,
      hint: 'See them with: pgwarden lockouts list --config FILE',
    })
  })
}

function guard(config: Config, store: Store): LoginGuard {
  return new LoginGuard({
    store: store.loginFailures,
    rules: () => config.logins,
    clock: systemClock,
    record: (change) => recordAlone(ledger(config, store), change),
    // Nobody logs in here.
    onProblem: () => undefined,
  })
}
