// The template of the application name under which PostgreSQL shows a session, taken apart: fixed
// text, and the places where something of the session stands. Ignorant of how it is filled in.

import { z } from 'zod'

export type NamePart =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'principal' | 'grant' | 'role' | 'application' }

/** NAMEDATALEN - 1: PostgreSQL silently cuts what is longer. */
const longest = 63
const grantLength = 16

const placeholders = ['principal', 'grant', 'role', 'application'] as const

/** `pgwarden {{principal}} {{grant}}`; the empty text is an empty list. */
export const nameTemplate = z.string('expected a text').transform((template, context) => {
  const parts: NamePart[] = []
  // Split at a group: what it holds is at every odd place.
  for (const [at, piece] of template.split(/\{\{(.*?)\}\}/s).entries()) {
    if (at % 2 === 0) {
      if (piece !== '') parts.push({ type: 'text', text: piece })
      continue
    }
    const type = placeholders.find((name) => name === piece.trim())
    if (type !== undefined) parts.push({ type })
    else {
      const known = placeholders.map((name) => `{{${name}}}`).join(', ')
      context.addIssue(`unknown placeholder {{${piece}}}; there are ${known}`)
    }
  }
  if (!/^[ -~]*$/.test(template)) {
    context.addIssue(
      'expected printable ASCII: PostgreSQL shows nothing else in an application name',
    )
  }
  if (fixedLength(parts) > longest) {
    context.addIssue(
      `leaves no room: PostgreSQL keeps ${longest} bytes, and {{grant}} takes ${grantLength}`,
    )
  }
  return parts
})

/** What cannot be cut. */
function fixedLength(parts: readonly NamePart[]): number {
  const length = (part: NamePart): number => {
    if (part.type === 'text') return part.text.length
    return part.type === 'grant' ? grantLength : 0
  }
  return parts.reduce((sum, part) => sum + length(part), 0)
}
