// Settings on their way into a thread: as text, since nothing else of a Secret would arrive. What comes out is
// made of the same kind again. The text is itself a secret, and goes nowhere else.

import type { SinkSettings } from '../audit/sink-settings.ts'
import { Secret } from '../secret.ts'

/** The only member of an object that stands for a secret. */
const mark = '\u0000secret'

export function textOf(sinks: readonly SinkSettings[]): string {
  // What the replacer is given has been through toJSON already: it looks at where that came from.
  return JSON.stringify(sinks, function (this: unknown, key: string, value: unknown) {
    const original = memberOf(this, key)
    return original instanceof Secret ? { [mark]: original.reveal() } : value
  })
}

/** Of a text that textOf has made. */
export function settingsIn(text: string): readonly SinkSettings[] {
  const sinks: unknown = JSON.parse(text, (_, value: unknown) => {
    const secret = memberOf(value, mark)
    return typeof secret === 'string' ? new Secret(secret) : value
  })
  return sinks as readonly SinkSettings[]
}

function memberOf(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return Object.entries(value).find(([name]) => name === key)?.[1]
}
