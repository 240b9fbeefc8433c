// `pgwarden grants`, `extend` and `revoke`: access that was given, made longer, and taken back.

import { type Command, Option } from 'commander'
import type { Grant, Revocation } from '../client/answers.ts'
import { exitStatus } from './exit-status.ts'
import { type Context, examples } from './program.ts'
import { openClient, printList, printOne, type RemoteOptions, remote } from './remote.ts'
import { printRequest } from './request-command.ts'
import type { Column } from './table.ts'
import { printable, styleFor, type Terminal } from './terminal.ts'
import { parseDuration, parsePositive } from './values.ts'
import { grantColour, grantText, instantText, left } from './wording.ts'

interface ListOptions extends RemoteOptions {
  readonly state?: string
  readonly principal?: string
  readonly target?: string
  readonly role?: string
  readonly limit: number
}

interface ExtendOptions extends RemoteOptions {
  readonly for: number
  readonly reason: string
}

interface RevokeOptions extends RemoteOptions {
  readonly reason: string
  readonly wait: number
}

/** Of the API. */
const longestWaitSeconds = 30
const states = ['scheduled', 'active', 'revoked', 'expired'] as const

export function addGrants(program: Command, context: Context): void {
  const { runs, outside, terminal } = context
  const now = () => outside.clock.now()

  const grants = remote(program.command('grants'))
    .description('Show grants: your own, and those that you may see; or one of them.')
    .argument('[grant]', 'the id of one')
    .addOption(new Option('--state <state>', 'only those').choices(states))
    .option('--principal <name>', 'only those of somebody')
    .option('--target <name>', 'only those for a database')
    .option('--role <name>', 'only those of a role')
    .option('-n, --limit <number>', 'at most that many, the newest', parsePositive, 50)
    .action(
      runs(async (id: string | undefined, { url, json, limit, ...filter }: ListOptions) => {
        const { api } = await openClient(context, url)
        const output = { ...(json === undefined ? {} : { json }) }
        if (id === undefined) {
          const list = await api.listGrants(filter, limit)
          await printList(context, output, list, columns(now()), 'There is no grant.')
        } else {
          await printGrant(context, output, await api.findGrant(id))
        }
        return exitStatus.done
      }),
    )
  examples(grants, 'pgwarden grants --state active', 'pgwarden grants 7h2k4m6n3p5q2r4t --json')

  const extend = remote(program.command('extend'))
    .description('Make a grant of yours longer. Where somebody must approve that, it is asked for.')
    .argument('<grant>', 'its id')
    .requiredOption('--for <duration>', 'how much longer, e.g. 2h', parseDuration)
    .requiredOption('--reason <text>', 'why; it stands in the audit')
    .action(
      runs(async (id: string, options: ExtendOptions) => {
        const { api } = await openClient(context, options.url)
        const terms = { durationSeconds: Math.ceil(options.for / 1000), reason: options.reason }
        const extension = await api.extend(id, terms)
        if (extension.outcome === 'extended') {
          await printGrant(context, options, extension.grant)
          return exitStatus.done
        }
        await printRequest(context, options, extension.request)
        return exitStatus.pending
      }),
    )
  examples(extend, 'pgwarden extend 7h2k4m6n3p5q2r4t --for 2h --reason "not done yet"')

  const revoke = remote(program.command('revoke'))
    .description('Take access back: end its sessions, and wait until its logins are gone.')
    .argument('<grant>', 'its id')
    .requiredOption('--reason <text>', 'why; it stands in the audit')
    .addOption(
      new Option('--wait <duration>', 'how long to wait for that, at most 30s')
        .argParser(parseDuration)
        .default(10_000, '10s'),
    )
    .action(
      runs(async (id: string, options: RevokeOptions) => {
        const { api } = await openClient(context, options.url)
        const waitSeconds = Math.min(Math.ceil(options.wait / 1000), longestWaitSeconds)
        const revocation = await api.revoke(id, options.reason, waitSeconds)
        await printOne(context, options, revocation, (value) => revocationText(value, terminal))
        return revocation.complete ? exitStatus.done : exitStatus.pending
      }),
    )
  examples(revoke, 'pgwarden revoke 7h2k4m6n3p5q2r4t --reason "laptop stolen"')
}

async function printGrant(context: Context, options: RemoteOptions, grant: Grant): Promise<void> {
  const { stdout, env } = context.terminal
  const now = context.outside.clock.now()
  await printOne(context, options, grant, (value) => grantText(value, styleFor(stdout, env), now))
}

function revocationText(revocation: Revocation, { stdout, env }: Terminal): string {
  const { grant, complete, sessions, logins } = revocation
  const style = styleFor(stdout, env)
  const states = {
    confirmed: 'gone, and seen to be gone',
    unconfirmed: 'revoked, but nobody could look whether its sessions are gone',
    open: 'not known to be gone yet; it is tried again until it is',
  } as const
  return [
    printable(
      `Grant ${grant.id} of ${grant.principal} (${grant.role} on ${grant.target}) is revoked.`,
    ),
    ...(sessions.length === 0
      ? []
      : [`  ${count(sessions.length, 'session')} not known to have ended yet`]),
    ...logins.map(({ databaseRole, engine, state }) => {
      const login = databaseRole ?? 'a login that was just being issued'
      return `  ${printable(`${login} (${engine})`)}: ${states[state]}`
    }),
    complete
      ? style('green', 'Its sessions have ended, and its logins are gone.')
      : style('red', 'NOT everything is confirmed yet.'),
    ...(complete ? [] : ['What to do: docs/operations.md, "Revoking".']),
  ].join('\n')
}

function count(number: number, what: string): string {
  return number === 1 ? `1 ${what}` : `${number} ${what}s`
}

function columns(now: number): readonly Column<Grant>[] {
  return [
    { heading: 'GRANT', text: ({ id }) => id },
    { heading: 'STATE', text: ({ state }) => state, colour: ({ state }) => grantColour[state] },
    { heading: 'WHO', text: ({ principal }) => principal },
    { heading: 'ROLE', text: ({ role }) => role },
    { heading: 'TARGET', text: ({ target }) => target },
    {
      heading: 'UNTIL',
      text: (grant) =>
        grant.state === 'active' ? left(grant, now) : instantText(grant.revokedAt ?? grant.endsAt),
    },
    { heading: 'LOGINS', text: ({ openLogins }) => (openLogins === 0 ? '' : String(openLogins)) },
    { heading: 'REASON', text: ({ reason }) => reason },
  ]
}
