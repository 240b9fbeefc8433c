// The settings that hold for a whole session. Some pgwarden asks for when it opens the session upstream,
// some are who the session is; the server reports them all, and one that changes means that something
// got round the policy. PostgreSQL documentation, "Message Flow: Asynchronous Operations".

import { Failure } from '../errors.ts'
import type { Policy } from '../policy/policy.ts'
import type { Subject } from '../policy/remit.ts'

/** Lower-case names, and the values in lower case that a report may have; what is written first is asked for. */
export type Pins = ReadonlyMap<string, readonly string[]>

/** What a text means to the server hangs on these, and whether a transaction may write. */
export function requiredPins(readOnly: boolean): Pins {
  const pins = new Map<string, readonly string[]>([
    // `unicode` is an older name of the same, and reported as it was set.
    ['client_encoding', ['utf8', 'unicode']],
    ['standard_conforming_strings', ['on']],
  ])
  if (readOnly) pins.set('default_transaction_read_only', ['on'])
  return pins
}

/** As settings of a startup packet. */
export function asSettings(pins: Pins): ReadonlyMap<string, string> {
  return new Map([...pins].map(([name, [value = '']]) => [name, value]))
}

/**
 * All that must stay as it is in a session. `reported` is what the server says of itself when
 * the session begins; a session that may become another database role is not held to be this one. Throws when it does not have what it was asked for: a pooler in between may have
 * left it out.
 */
export function pinsOf(
  required: Pins,
  reported: ReadonlyMap<string, string>,
  mayBecomeAnother: boolean,
): Pins {
  for (const [name, values] of required) {
    const value = reported.get(name)
    if (value === undefined || values.includes(value.toLowerCase())) continue
    throw new Failure('cannot_connect_now', {
      message: `the target database did not take the setting ${name}`,
      hint: 'Tell the people who run pgwarden: it must reach the server itself.',
    })
  }
  const pins = new Map(required)
  if (mayBecomeAnother) return pins
  for (const name of ['session_authorization', 'is_superuser']) {
    const value = reported.get(name)
    if (value !== undefined) pins.set(name, [value.toLowerCase()])
  }
  return pins
}

/** Whether the role may go on as another database role: by SET ROLE or SET SESSION AUTHORIZATION. */
export function mayBecomeAnother(subject: Subject, policy: Policy): boolean {
  return ['role', 'session_authorization'].some((name) =>
    policy.allowsSetting(subject, name, 'somebody'),
  )
}
