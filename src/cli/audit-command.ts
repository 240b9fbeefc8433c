// `pgwarden audit`: the journal, checked and read. What each of its commands does is in a file of its own.

import type { Command } from 'commander'
import { addQuery, addTail } from './audit-read-command.ts'
import { addVerify } from './audit-verify-command.ts'
import type { Context } from './program.ts'

export function addAudit(program: Command, context: Context): void {
  const audit = program.command('audit').description('The audit journal.')
  addVerify(audit, context)
  addTail(audit, context)
  addQuery(audit, context)
}
