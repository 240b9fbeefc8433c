// Settings that pgwarden gives every session of a target, for the database's row-level security: their
// names, and templates of their values. Ignorant of how they are filled in and sent.
// PostgreSQL documentation, "Customized Options".

import { z } from 'zod'
import { mapping } from './values.ts'

export type ContextPart =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'principal' | 'role' | 'grant' | 'target' }
  | { readonly type: 'claim'; readonly name: string }

/** By setting, in lower case. */
export type SessionContext = ReadonlyMap<string, readonly ContextPart[]>

const mostSettings = 32
const placeholders = ['principal', 'role', 'grant', 'target'] as const

/** A setting of the server's own, or of an extension's without a dot, would do something by itself. */
const settingName = z
  .string()
  .regex(
    /^[a-z_][a-z0-9_$]{0,62}([.][a-z_][a-z0-9_$]{0,62})+$/,
    'expected a name with a dot in lower case, like app.current_user_id',
  )

const template = z.string('expected a text').transform((written, context) => {
  const parts: ContextPart[] = []
  // Split at a group: what it holds is at every odd place.
  for (const [at, piece] of written.split(/\{\{(.*?)\}\}/s).entries()) {
    if (at % 2 === 0) {
      if (piece !== '') parts.push({ type: 'text', text: piece })
      continue
    }
    const part = filling(piece.trim())
    if (part !== undefined) parts.push(part)
    else {
      const known = placeholders.map((name) => `{{${name}}}`).join(', ')
      context.addIssue(`unknown placeholder {{${piece}}}; there are ${known}, {{claims.NAME}}`)
    }
  }
  if (written === '') context.addIssue('expected a text that is not empty')
  if (written.includes('\0')) context.addIssue('a setting cannot hold a null character')
  return parts
})

function filling(name: string): ContextPart | undefined {
  const claim = /^claims[.](.+)$/.exec(name)?.[1]
  if (claim !== undefined) return { type: 'claim', name: claim }
  const type = placeholders.find((placeholder) => placeholder === name)
  return type && { type }
}

export const sessionContextSchema = z
  .record(settingName, template, mapping)
  .refine((settings) => Object.keys(settings).length <= mostSettings, {
    error: `expected at most ${mostSettings} settings`,
  })

type RawContext = z.output<typeof sessionContextSchema>

/** What the target says beats what is said in general. */
export function contextOf(general: RawContext, own: RawContext): SessionContext {
  return new Map(Object.entries({ ...general, ...own }))
}

/** The claims that these contexts are filled in from, each once. */
export function claimsNeeded(contexts: readonly SessionContext[]): readonly string[] {
  const parts = contexts.flatMap((context) => [...context.values()].flat())
  return [...new Set(parts.flatMap((part) => (part.type === 'claim' ? [part.name] : [])))]
}
