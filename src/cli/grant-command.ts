// `pgwarden grant list` and `pgwarden grant revoke`: who has access now, and taking it back. What was
// confirmed goes to stdout, in words or as JSON; how the waiting goes to stderr, at a terminal only.

import { type Command, Option } from 'commander'
import type { GrantStanding, Revocation, RevokedLogin } from './operations.ts'
import { type Context, examples } from './program.ts'
import { print, printable, styleFor, type Terminal } from './terminal.ts'
import { parseDuration } from './values.ts'
import { instantText } from './wording.ts'

interface ListOptions {
  readonly config: string
  readonly all?: boolean
  readonly json?: boolean
}

interface RevokeOptions {
  readonly config: string
  readonly reason: string
  readonly wait: number
  readonly json?: boolean
}

export function addGrant(program: Command, context: Context): void {
  const { operations, terminal, runs } = context
  const grant = program.command('grant').description('Access that was given.')

  const list = grant
    .command('list')
    .description('Show who has access, and whose logins are not known to be gone yet.')
    .requiredOption('--config <file>', 'the configuration that the proxy runs on')
    .option('--all', 'also what is over')
    .option('--json', 'a JSON object a line')
    .action(
      runs(async ({ config, all, json }: ListOptions) => {
        const { grants, more } = await (await operations()).listGrants({
          configFile: config,
          all: all === true,
        })
        for (const each of grants) {
          const line = json === true ? JSON.stringify(grantJson(each)) : grantLine(each, terminal)
          await print(terminal.stdout, `${line}\n`)
        }
        if (grants.length === 0) terminal.stderr.write(nothing(all === true))
        if (more) terminal.stderr.write(`These are the newest ${grants.length}; there are more.\n`)
        return 0
      }),
    )
  examples(list, 'pgwarden grant list --config pgwarden.yaml')

  const revoke = grant
    .command('revoke')
    .description('Take access back: end its sessions, and wait until its logins are gone.')
    .argument('<grant>', 'its id, as grant list and token issue show it')
    .requiredOption('--config <file>', 'the configuration that the proxy runs on')
    .requiredOption('--reason <text>', 'why; it stands in the audit')
    .addOption(
      new Option('--wait <duration>', 'how long to wait for that')
        .argParser(parseDuration)
        .default(30_000, '30s'),
    )
    .option('--json', 'a JSON object')
    .action(
      runs(async (grantId: string, { config, reason, wait, json }: RevokeOptions) => {
        const revocation = await (await operations()).revokeGrant({
          ...{ configFile: config, grantId, reason, waitMs: wait },
          onWaiting: waiting(terminal),
        })
        if (terminal.stderr.isTTY === true) terminal.stderr.write(clearLine)
        const text =
          json === true
            ? JSON.stringify(revocationJson(revocation))
            : revocationText(revocation, terminal)
        await print(terminal.stdout, `${text}\n`)
        return isConfirmed(revocation) ? 0 : 1
      }),
    )
  examples(
    revoke,
    'pgwarden grant revoke --config pgwarden.yaml 7h2k4m6n8p0q2r4t --reason "laptop stolen"',
  )
}

const clearLine = '\r\u001b[K'

function waiting({ stderr }: Terminal): (now: { left: number; tookMs: number }) => void {
  return ({ left, tookMs }) => {
    if (stderr.isTTY !== true) return
    stderr.write(
      `${clearLine}waiting for ${logins(left)} to be gone: ${Math.floor(tookMs / 1000)} s`,
    )
  }
}

function isConfirmed({ logins }: Revocation): boolean {
  return logins.every(({ ended }) => ended === 'confirmed')
}

function revocationText(revocation: Revocation, { stdout, env }: Terminal): string {
  const { grant, logins: all, tookMs, told } = revocation
  const style = styleFor(stdout, env)
  const seconds = `${(tookMs / 1000).toFixed(1)} s`
  const confirmed = isConfirmed(revocation)
  const verdict =
    all.length === 0
      ? 'No login was out.'
      : confirmed
        ? `${logins(all.length)} confirmed to be gone after ${seconds}.`
        : `NOT everything is confirmed after ${seconds}.`
  return [
    `Grant ${grant.id} of ${printable(grant.principal)} (${grant.role} on ${grant.target}) is revoked.`,
    ...all.map((login) => `  ${loginLine(login)}`),
    ...(told
      ? []
      : ['  The proxies could not be told: they find out within seconds by themselves.']),
    style(confirmed ? 'green' : 'red', verdict),
    ...(confirmed
      ? []
      : ['What to do: docs/operations.md, "Revoking"; the proxies\' logs say why.']),
  ].join('\n')
}

function loginLine({ databaseRole, engine, ended }: RevokedLogin): string {
  const login = `${databaseRole ?? 'a login that was just being issued'} (${engine})`
  switch (ended) {
    case 'confirmed':
      return `${login}: gone, and seen to be gone`
    case 'unconfirmed':
      return `${login}: revoked, but nobody could look whether its sessions are gone`
    case undefined:
      return `${login}: not known to be gone yet; it is tried again until it is`
  }
}

function revocationJson({ grant, revokedAt, told, logins, tookMs }: Revocation): object {
  return {
    grant: grant.id,
    ...{ principal: grant.principal, target: grant.target, role: grant.role },
    revokedAt: new Date(revokedAt).toISOString(),
    confirmed: logins.every(({ ended }) => ended === 'confirmed'),
    told,
    seconds: Math.round(tookMs) / 1000,
    logins: logins.map(({ id, engine, databaseRole, ended }) => ({
      ...{ lease: id, engine, databaseRole },
      state: ended ?? 'open',
    })),
  }
}

function grantLine(grant: GrantStanding, { stdout, env }: Terminal): string {
  const { id, principal, target, role, standing, endsAt, revokedAt, openLeases, reason } = grant
  const style = styleFor(stdout, env)
  const states = {
    in_force: `until ${instantText(endsAt)}`,
    not_yet: `from ${instantText(grant.startsAt)} until ${instantText(endsAt)}`,
    expired: `ended ${instantText(endsAt)}`,
    revoked: `revoked ${instantText(revokedAt ?? endsAt)}`,
  } as const
  const open = openLeases === 0 ? '' : `, ${logins(openLeases)} open`
  // Somebody may still be in who should be out: worth to be seen.
  const over = standing === 'expired' || standing === 'revoked'
  const state = `${states[standing]}${open}`
  const shown = over && openLeases > 0 ? style('red', state) : state
  return `${id}  ${printable(principal)}: ${role} on ${target}, ${shown}  (${printable(reason)})`
}

function grantJson(grant: GrantStanding): object {
  const { id, startsAt, endsAt, revokedAt, ...others } = grant
  return {
    grant: id,
    ...others,
    startsAt: new Date(startsAt).toISOString(),
    endsAt: new Date(endsAt).toISOString(),
    revokedAt: revokedAt === undefined ? undefined : new Date(revokedAt).toISOString(),
  }
}

function nothing(all: boolean): string {
  return all
    ? 'There is no grant.\n'
    : 'Nobody has access, and no login is left open; --all shows what is over.\n'
}

function logins(count: number): string {
  return count === 1 ? '1 login' : `${count} logins`
}
