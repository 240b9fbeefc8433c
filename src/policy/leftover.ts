// What a session may have kept from a time when it was allowed more: each statement is judged by the rules
// of its own moment, but what an earlier one has set or prepared lasts as long as the session. Ignorant of
// sessions, and of who changes the rules.

import { isLowered } from './ceilings.ts'
import type { Permissions } from './permissions.ts'
import { guardsOf } from './unseen.ts'

/** What such a session may have and could not get any more, as a sentence; undefined when it is nothing. */
export function leftover(before: Permissions, now: Permissions): string | undefined {
  const lowered = [...now.ceilings].find(([setting, ceilings]) =>
    isLowered(setting, before.ceilings.get(setting), ceilings),
  )
  if (lowered !== undefined) return `The limit of its role for ${lowered[0]} is lower now.`
  const setting = [...before.settings].find((entry) => !now.settings.has(entry))
  if (setting !== undefined && !now.settings.has('*')) {
    return `Its role may not change the settings ${setting} any more.`
  }
  // Nobody else sees a session's temporary views, and a view is judged by what it is called.
  if (before.commands.has('CREATE VIEW') && !sameRelations(before, now)) {
    return 'Its role may touch other relations now, and may have made temporary views of those before.'
  }
  // A prepared statement may have become another one where nobody saw it, and EXECUTE does not show it.
  return mayHideCode(before) && !mayHideCode(now)
    ? 'Its role may not run code that no statement shows any more.'
    : undefined
}

/** Whether what the session runs may be code of its own making, which no text shows. */
function mayHideCode(may: Permissions): boolean {
  const hiding = ['DO', 'CREATE FUNCTION', 'CREATE PROCEDURE']
  return guardsOf(may).length === 0 && hiding.some((command) => may.commands.has(command))
}

function sameRelations(one: Permissions, other: Permissions): boolean {
  return JSON.stringify(one.relations) === JSON.stringify(other.relations)
}
