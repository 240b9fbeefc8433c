// One journal record as one readable line. A record of a kind that is not known here, or a line that
// is no JSON, is shown as it is: what a reader of an audit must not do is leave something out.

import { printable, type Style } from './terminal.ts'

type Fields = Readonly<Record<string, unknown>>

export function auditLine(line: string, style: Style): string {
  const fields = parse(line)
  const describe = fields === undefined ? undefined : descriptions.get(text(fields, 'type'))
  if (fields === undefined || describe === undefined) return printable(line)
  // The day is in the file's name and in --json; here the time is what one looks for. UTC.
  const time = style('dim', text(fields, 'time').slice(11, 23))
  return `${time} ${describe(fields, style)}`
}

const descriptions: ReadonlyMap<string, (fields: Fields, style: Style) => string> = new Map([
  ['statement', statement],
  ['outcome', outcome],
  ['login', login],
  ['session.start', (fields, style) => `${who(fields, style)} session begins, ${origin(fields)}`],
  ['session.end', sessionEnd],
  ['session.tripwire', tripwire],
  ['token.issued', tokenIssued],
  ['lease.issue', (fields, style) => `${who(fields, style)} lease issued: ${issued(fields)}`],
  ['lease.revoke', leaseRevoked],
  ['lease.problem', leaseProblem],
  ['journal.check', () => 'journal checked after a failed write'],
  ['cancel', (fields) => `cancel ${text(fields, 'result')}, from ${text(fields, 'client')}`],
  ['journal.open', (fields) => `journal opened (${text(fields, 'reason')})`],
  ['journal.close', () => 'journal closed'],
  ['proxy.start', (fields) => `proxy started, version ${text(fields, 'version')}`],
  ['proxy.stop', (fields) => `proxy stopped: ${text(fields, 'reason')}`],
])

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

function tokenIssued(fields: Fields): string {
  const grant = `${text(fields, 'role')} on ${text(fields, 'target')}`
  const until = `until ${text(fields, 'endsAt')}`
  return `${text(fields, 'kind')} token for ${text(fields, 'principal')}: ${grant} ${until}, because: ${text(fields, 'reason')}`
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

function who(fields: Fields, style: Style): string {
  const name = style('bold', text(fields, 'principal'))
  return `${name} ${style('cyan', `${text(fields, 'role')}@${text(fields, 'target')}`)}`
}

function origin(fields: Fields): string {
  const application = text(fields, 'application')
  return `from ${text(fields, 'client')}${application === '' ? '' : ` with ${application}`}`
}

/** A field for people; empty when it is missing. */
function text(fields: Fields, name: string): string {
  const value = fields[name]
  return typeof value === 'string' ? printable(value) : ''
}

function counted(fields: Fields, name: string, unit = name): string {
  const value = fields[name]
  return typeof value === 'number' ? `${value} ${unit}` : ''
}

function parse(line: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}
