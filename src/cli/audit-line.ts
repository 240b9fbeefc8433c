// One journal record as one readable line. A record of a kind that is not known here, or a line that
// is no JSON, is shown as it is: what a reader of an audit must not do is leave something out.
// What the control plane does is put into words in audit-line-changes.ts.

import { mainChain } from '../audit/chain.ts'
import { type Fields, readFields } from '../audit/line.ts'
import { changes } from './audit-line-changes.ts'
import { counted, type Describe, text, who } from './audit-words.ts'
import { printable, type Style } from './terminal.ts'

/** `dated`: with the day, for records of many days. All times are UTC. */
export function auditLine(
  { chain, line }: { readonly chain: string; readonly line: string },
  style: Style,
  dated: boolean,
): string {
  const fields = readFields(line)
  const describe = fields === undefined ? undefined : descriptions.get(text(fields, 'type'))
  // What the proxy writes is what there is most of.
  const writer = chain === mainChain ? '' : `${style('dim', `[${printable(chain)}]`)} `
  if (fields === undefined || describe === undefined) return `${writer}${printable(line)}`
  const at = text(fields, 'time')
  const time = at.slice(11, 23).replace('Z', '')
  return `${style('dim', dated ? `${at.slice(0, 10)} ${time}` : time)} ${writer}${describe(fields, style)}`
}

/** In one line; the record has more. */
const mostPaths = 8

const descriptions: ReadonlyMap<string, Describe> = new Map([
  ...changes,
  ['statement', statement],
  ['outcome', outcome],
  ['login', login],
  ['session.start', (fields, style) => `${who(fields, style)} session begins, ${origin(fields)}`],
  ['session.end', sessionEnd],
  ['session.tripwire', tripwire],
  ['lease.issue', (fields, style) => `${who(fields, style)} lease issued: ${issued(fields)}`],
  ['lease.revoke', leaseRevoked],
  ['lease.problem', leaseProblem],
  ['cancel', cancel],
  ['journal.open', journalOpen],
  [
    'journal.seal',
    (fields) => `journal goes on in the next file, after ${counted(fields, 'records')}`,
  ],
  ['journal.close', () => 'journal closed'],
  ['journal.check', () => 'journal checked after a failed write'],
  ['journal.checkpoint', checkpoint],
  ['journal.retired', retired],
  ['journal.lost', lost],
  ['proxy.start', (fields) => `proxy started, version ${text(fields, 'version')}`],
  ['proxy.stop', (fields) => `proxy stopped: ${text(fields, 'reason')}`],
  ['certificate.loaded', certificate],
  ['config.reload', reload],
  ['config.applied', () => 'configuration in force'],
  [
    'config.rejected',
    (fields, style) =>
      `${text(fields, 'by')}: ${style('red', 'configuration not usable')}: ${text(fields, 'problem')}`,
  ],
] satisfies readonly (readonly [string, Describe])[])

function statement(fields: Fields, style: Style): string {
  const denied = text(fields, 'decision') !== 'allow'
  const decision = denied ? style('red', 'DENY ') : style('green', 'allow')
  const why = denied ? style('red', `  [${text(fields, 'rule')}: ${text(fields, 'reason')}]`) : ''
  return `${who(fields, style)} ${decision} ${text(fields, 'text')}${why}`
}

function outcome(fields: Fields, style: Style): string {
  const parts = [
    text(fields, 'result'),
    text(fields, 'command'),
    counted(fields, 'rows'),
    counted(fields, 'durationMs', 'ms'),
    text(fields, 'sqlstate'),
  ]
  return style('dim', `  -> ${text(fields, 'statement')} ${parts.filter(Boolean).join(' ')}`)
}

function login(fields: Fields, style: Style): string {
  const result = text(fields, 'result')
  const coloured = style(result === 'ok' ? 'green' : 'red', `login ${result}`)
  const reason = text(fields, 'reason')
  const asked = `${text(fields, 'principal')} on ${text(fields, 'target')}`
  return `${asked} ${coloured}${reason === '' ? '' : `: ${reason}`}, from ${text(fields, 'client')}`
}

function sessionEnd(fields: Fields, style: Style): string {
  const sums = [counted(fields, 'statements', 'statements'), counted(fields, 'durationMs', 'ms')]
  return `${who(fields, style)} session ends: ${text(fields, 'reason')}, ${sums.join(', ')}`
}

function tripwire(fields: Fields, style: Style): string {
  const change = `${text(fields, 'setting')} is ${text(fields, 'got')}, not ${text(fields, 'expected')}`
  return `${who(fields, style)} ${style('red', `TRIPWIRE ${change}`)}: something got round the policy`
}

function issued(fields: Fields): string {
  const role = text(fields, 'databaseRole')
  return `${role === '' ? `lease ${text(fields, 'lease')}` : role} by ${text(fields, 'engine')}`
}

function leaseRevoked(fields: Fields, style: Style): string {
  const result = text(fields, 'result')
  const coloured = style(result === 'confirmed' ? 'green' : 'red', result)
  return `${who(fields, style)} lease revoked, ${coloured}: ${issued(fields)}, because: ${text(fields, 'reason')}`
}

function leaseProblem(fields: Fields, style: Style): string {
  const problem = style('red', 'LEASE NOT KNOWN TO BE REVOKED')
  return `${who(fields, style)} ${problem}: ${issued(fields)}, ${counted(fields, 'attempts')}`
}

function origin(fields: Fields): string {
  const application = text(fields, 'application')
  return `from ${text(fields, 'client')}${application === '' ? '' : ` with ${application}`}`
}

function cancel(fields: Fields): string {
  const session = text(fields, 'session')
  const of = session === '' ? '' : ` of session ${session}`
  const count = fields['count'] === undefined ? '' : `, ${counted(fields, 'count', 'times')}`
  return `cancel${of} ${text(fields, 'result')}, from ${text(fields, 'client')}${count}`
}

function journalOpen(fields: Fields, style: Style): string {
  const cut = counted(fields, 'bytesCut', 'bytes')
  const torn = style('red', `, after half a line of ${cut} that a killed process left`)
  return `journal opened (${text(fields, 'reason')})${cut === '' ? '' : torn}`
}

function checkpoint({ of }: Fields): string {
  const sequence = typeof of === 'object' && of !== null && 'seq' in of ? String(of.seq) : ''
  return `checkpoint signed, of record ${printable(sequence)}`
}

function retired({ segments }: Fields): string {
  const count = Array.isArray(segments) ? segments.length : 0
  return `${count} old ${count === 1 ? 'file' : 'files'} of the journal deleted`
}

function lost(fields: Fields, style: Style): string {
  return style('red', `${counted(fields, 'records')} LOST while the journal could not be written`)
}

function certificate(fields: Fields): string {
  const subject = text(fields, 'subject')
  return `certificate of ${text(fields, 'listener')} loaded: ${subject}, good until ${text(fields, 'expires')}`
}

function reload(fields: Fields): string {
  const { changes, changeCount } = fields
  const told = Array.isArray(changes) ? changes : []
  const count = typeof changeCount === 'number' ? changeCount : told.length
  const paths = told
    .slice(0, mostPaths)
    .map((change: unknown) =>
      typeof change === 'object' && change !== null && 'path' in change ? String(change.path) : '',
    )
  const which =
    count === 0 ? '' : `: ${printable(paths.join(', '))}${count > paths.length ? ', ...' : ''}`
  return `${text(fields, 'by')} reloads the configuration, ${count} ${count === 1 ? 'change' : 'changes'}${which}`
}
