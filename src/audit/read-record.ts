// The record of somebody reading the audit through the control plane: who watches the watchers is
// answered by the journal too. Ignorant of what was found.

import type { Actor } from '../access/change.ts'
import type { AuditFilter } from './filter.ts'
import { clip, quote } from './json.ts'

/** Longer than any filter that the control plane takes. */
const filterLimit = 1024

export interface AuditRead {
  readonly by: Actor
  /** A page of what there is, or all that comes. */
  readonly how: 'events' | 'stream'
  readonly filter: AuditFilter
}

export function auditReadRecord({ by, how, filter }: AuditRead): string {
  return (
    `"type":"audit.read","by":${quote(by.principal)},"via":${quote(by.via)},"how":"${how}"` +
    `,"filter":${quote(clip(JSON.stringify(filter), filterLimit))}`
  )
}
