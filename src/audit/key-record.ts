// The records of API keys: who made one, for whom and with what power, and who took it back. Ignorant of
// where keys are kept; docs/audit.md lists the fields.

import type { ApiKey } from '../access/api-key.ts'
import type { Actor } from '../access/change.ts'
import { clip, quote } from './json.ts'

const nameLimit = 256
const mostNames = 100

/** To be written before the key is anybody's: power that the journal does not know of must not exist. */
export function keyCreatedRecord(key: ApiKey, by: Actor): string {
  return (
    `"type":"key.created",${keyFields(key, by)},"kind":"${key.kind}"` +
    `,"groups":${names(key.groups)},"scopes":${names(key.scopes)}` +
    `,"claims":${names(Object.keys(key.claims))}` +
    `,"expiresAt":"${new Date(key.expiresAt).toISOString()}"`
  )
}

export function keyRevokedRecord(key: ApiKey, by: Actor): string {
  return `"type":"key.revoked",${keyFields(key, by)}`
}

function keyFields({ id, principal }: ApiKey, by: Actor): string {
  return (
    `"by":${quote(clip(by.principal, nameLimit))},"via":${quote(by.via)}` +
    `,"key":${quote(id)},"principal":${quote(clip(principal, nameLimit))}`
  )
}

function names(list: readonly string[]): string {
  const shown = list.slice(0, mostNames).map((name) => quote(clip(name, nameLimit)))
  return `[${shown.join(',')}]`
}
