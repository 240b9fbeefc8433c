// `pgwarden key create`, `list` and `revoke`: API keys, by operators, beside the proxies. The key itself goes to
// stdout, once, and all else to stderr, so that a script can put it where it belongs.

import { type Command, InvalidArgumentError, Option } from 'commander'
import type { ApiKey } from '../access/api-key.ts'
import { type PrincipalKind, type Scope, scopes } from '../access/identity.ts'
import { type Context, examples } from './program.ts'
import { print, printable } from './terminal.ts'
import { parseDuration } from './values.ts'
import { instantText } from './wording.ts'

interface CreateOptions {
  readonly config: string
  readonly principal: string
  readonly kind: PrincipalKind
  readonly groups: readonly string[]
  readonly scopes: readonly Scope[]
  readonly claim: Readonly<Record<string, string>>
  readonly for: number
}

interface ListOptions {
  readonly config: string
  readonly all?: boolean
  readonly json?: boolean
}

const configOption = ['--config <file>', 'the configuration that the proxy runs on'] as const

export function addKey(program: Command, context: Context): void {
  const { operations, terminal, runs } = context
  const key = program.command('key').description('API keys, for programs.')

  const create = key
    .command('create')
    .description('Make an API key, and print it: it is shown this once.')
    .requiredOption(...configOption)
    .requiredOption('--principal <name>', 'whose it is: the user name at login')
    .addOption(
      new Option('--kind <kind>', 'a program, or somebody without an identity provider')
        .choices(['service', 'person'])
        .default('service'),
    )
    .addOption(new Option('--groups <names>', 'groups, with commas').argParser(words).default([]))
    .addOption(
      new Option('--scopes <names>', `what it may be used for: ${scopes.join(', ')}`)
        .argParser(parseScopes)
        .default(['access'], 'access'),
    )
    .addOption(
      new Option('--claim <name=value>', 'what sessions of row-level security need; repeatable')
        .argParser(parseClaim)
        .default({}, 'none'),
    )
    .addOption(
      new Option('--for <duration>', 'how long it is good, at most 365d')
        .argParser(parseDuration)
        .default(90 * 86_400_000, '90d'),
    )
    .action(
      runs(async ({ config, for: forMs, claim: claims, ...terms }: CreateOptions) => {
        const made = await (await operations()).createKey({
          configFile: config,
          forMs,
          claims,
          ...terms,
        })
        const { principal, kind, groups, scopes } = terms
        terminal.stderr.write(
          `API key ${made.id} for the ${kind} ${principal}, until ${instantText(made.expiresAt)}.\n` +
            `Scopes: ${scopes.join(', ')}. Groups: ${groups.join(', ') || 'none'}.\n` +
            'It is not shown again. Programs send it as "Authorization: Bearer ...",' +
            ' pgwarden takes it from PGWARDEN_API_KEY.\n',
        )
        await print(terminal.stdout, `${made.text.reveal()}\n`)
        return 0
      }),
    )
  examples(
    create,
    'pgwarden key create --config pgwarden.yaml --principal service-reports --groups bi --for 90d',
  )

  const list = key
    .command('list')
    .description('Show the keys that are good.')
    .requiredOption(...configOption)
    .option('--all', 'also those that are over')
    .option('--json', 'a JSON object a line')
    .action(
      runs(async ({ config, all, json }: ListOptions) => {
        const { keys, more } = await (await operations()).listKeys({
          configFile: config,
          all: all === true,
        })
        for (const each of keys) {
          const line = json === true ? JSON.stringify(keyJson(each)) : keyLine(each)
          await print(terminal.stdout, `${line}\n`)
        }
        if (keys.length === 0) terminal.stderr.write('There is no API key.\n')
        if (more) terminal.stderr.write(`These are the newest ${keys.length}; there are more.\n`)
        return 0
      }),
    )
  examples(list, 'pgwarden key list --config pgwarden.yaml')

  const revoke = key
    .command('revoke')
    .description('Take a key back: from now on no call with it is answered.')
    .argument('<key>', 'its id, as key list and key create show it')
    .requiredOption(...configOption)
    .action(
      runs(async (id: string, { config }: { readonly config: string }) => {
        const { principal } = await (await operations()).revokeKey({ configFile: config, id })
        await print(
          terminal.stdout,
          `API key ${id} of ${printable(principal)} is revoked.` +
            ' Grants that were had with it stay: see pgwarden grant list.\n',
        )
        return 0
      }),
    )
  examples(revoke, 'pgwarden key revoke --config pgwarden.yaml 7h2k4m6n5p3q2r4t')
}

function words(text: string): readonly string[] {
  return text.split(',').filter((word) => word !== '')
}

function parseScopes(text: string): readonly Scope[] {
  return words(text).map((word) => {
    const scope = scopes.find((known) => known === word)
    if (scope === undefined) throw new InvalidArgumentError(`Scopes are ${scopes.join(', ')}.`)
    return scope
  })
}

function parseClaim(
  text: string,
  others: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('A claim is written like uid=42.')
  return { ...others, [text.slice(0, at)]: text.slice(at + 1) }
}

function keyLine(key: ApiKey): string {
  const { id, principal, kind, scopes, groups, expiresAt, revokedAt, lastUsedAt } = key
  const end =
    revokedAt === undefined
      ? `until ${instantText(expiresAt)}`
      : `revoked ${instantText(revokedAt)}`
  const used = lastUsedAt === undefined ? 'never used' : `used ${instantText(lastUsedAt)}`
  const of = groups.length === 0 ? '' : ` of ${groups.map(printable).join(', ')}`
  return `${id}  ${kind} ${printable(principal)}${of}: ${scopes.join(', ')}, ${end}, ${used}`
}

function keyJson(key: ApiKey): object {
  const { id, principal, kind, scopes, groups, claims, createdAt, expiresAt } = key
  const { revokedAt, lastUsedAt } = key
  return {
    ...{ key: id, principal, kind, groups, scopes, claims },
    createdAt: new Date(createdAt).toISOString(),
    expiresAt: new Date(expiresAt).toISOString(),
    ...(revokedAt === undefined ? {} : { revokedAt: new Date(revokedAt).toISOString() }),
    ...(lastUsedAt === undefined ? {} : { lastUsedAt: new Date(lastUsedAt).toISOString() }),
  }
}
