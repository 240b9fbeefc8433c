// The record of somebody reading the audit, through the control plane or on the command line: who watches the
// watchers is answered by the journal too. Ignorant of what was found.

import type { Actor } from '../access/change.ts'
import type { AuditFilter } from './filter.ts'
import { nameField, quoteWithin } from './json.ts'

/** In bytes as quoted: longer than any filter that the control plane takes. */
const filterLimit = 4096

export interface AuditRead {
  readonly by: Actor
  /** Through the control plane a page of what there is, or all that comes; on the command line the same. */
  readonly how: 'events' | 'stream' | 'query' | 'tail'
  readonly filter: AuditFilter
}

export function auditReadRecord({ by, how, filter }: AuditRead): string {
  return (
    `"type":"audit.read",${nameField('by', by.principal)},${nameField('via', by.via)},"how":"${how}"` +
    `,"filter":${quoteWithin(JSON.stringify(filter), filterLimit)}`
  )
}
