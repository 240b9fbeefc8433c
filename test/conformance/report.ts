// docs/clients.md from what the clients said: one table of all, then what is to be explained. Ignorant
// of how anything was run. The text depends on nothing but the results, so that a second run changes it
// only where a result changed.

import { checks } from './client.ts'
import { checksOf, judge, type Pair, type Verdict } from './verdict.ts'

export interface Findings {
  readonly client: string
  readonly plain: Pair
  readonly tls: Pair
}

/** The whole file, in Markdown. */
export function report(servers: readonly string[], findings: readonly Findings[]): string {
  return [
    '# Clients',
    '',
    '<!-- Written by `npm run conformance:write`; do not edit. -->',
    '',
    `Real client software at PostgreSQL ${servers.join(' and ')}, directly and through pgwarden, each plain and`,
    'in TLS with the certificate verified. A check is the same when the client saw the same both times:',
    'values, row counts, messages, SQLSTATEs. Its role is `admin`, so that what is compared is the protocol;',
    'what a policy refuses is in [policy](policy.md). The programs are in `test/conformance/clients/`. What the',
    'own tests of PostgreSQL and of its drivers show is in [public test suites](clients-suites.md).',
    '',
    '`=` the same in both ways, `plain` or `TLS` the same in that one only, `≠` different through pgwarden,',
    '`–` the client has no such feature, `?` it fails without pgwarden too, empty: not run.',
    '',
    `| Client | ${checks.join(' | ')} | others |`,
    `| --- |${' --- |'.repeat(checks.length + 1)}`,
    ...findings.map(tableRow),
    '',
    '## Versions',
    '',
    ...findings.map(({ client, plain }) => `- **${client}**: ${versionOf(plain)}`),
    '',
    '## What is not `=`',
    '',
    ...findings.flatMap(explanations),
    '',
  ].join('\n')
}

function tableRow({ client, plain, tls }: Findings): string {
  const cells = checks.map((check) => cell(judge(plain, check), judge(tls, check)))
  const others = othersOf([plain, tls]).map(
    (check) => `${check} ${cell(judge(plain, check), judge(tls, check))}`,
  )
  return `| ${client} | ${cells.join(' | ')} | ${others.join(', ')} |`
}

function cell(plain: Verdict, tls: Verdict): string {
  if (plain.type === tls.type) return symbol(plain)
  if (plain.type === 'same' && tls.type === 'unsupported') return 'plain'
  if (tls.type === 'same' && plain.type === 'unsupported') return 'TLS'
  return `${symbol(plain)} plain, ${symbol(tls)} TLS`
}

function symbol({ type }: Verdict): string {
  switch (type) {
    case 'same':
      return '='
    case 'unsupported':
      return '–'
    case 'differs':
      return '≠'
    case 'fails directly':
      return '?'
    case 'not run':
      return ''
  }
}

function versionOf({ direct }: Pair): string {
  return direct.type === 'ran' ? direct.version : `not run: ${direct.why}`
}

/** One line for each reason that a client gives, with all the checks that it is the reason of. */
function explanations({ client, plain, tls }: Findings): readonly string[] {
  const checksByReason = new Map<string, string[]>()
  const note = (why: string | undefined, what: string) => {
    if (why === undefined) return
    checksByReason.set(why, [...(checksByReason.get(why) ?? []), what])
  }
  for (const check of checksOf([plain, tls])) {
    const [first, second] = [reason(judge(plain, check)), reason(judge(tls, check))]
    if (first === second) note(first, check)
    else {
      note(first, `${check} (plain)`)
      note(second, `${check} (TLS)`)
    }
  }
  return [...checksByReason].map(
    ([why, what]) => `- **${client}** ${what.join(', ')}: ${why.replace(/\s+/g, ' ')}`,
  )
}

function reason(verdict: Verdict): string | undefined {
  switch (verdict.type) {
    case 'same':
    case 'not run':
      return undefined
    case 'unsupported':
      return `not in this client: ${verdict.why}`
    case 'differs':
      return `directly \`${verdict.direct}\`, through pgwarden \`${verdict.through}\``
    case 'fails directly':
      return `fails directly too: ${verdict.detail}`
  }
}

function othersOf(pairs: readonly Pair[]): readonly string[] {
  return checksOf(pairs).slice(checks.length)
}
