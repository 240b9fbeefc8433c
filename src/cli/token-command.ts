// `pgwarden token issue`: an operator gives a grant and its token by hand. The line to use it goes to
// stdout, all else to stderr, so that a script can take the one and a person sees both.

import { type Command, Option } from 'commander'
import type { Claims, TokenKind } from '../access/access.ts'
import type { Connection, IssuedToken } from './operations.ts'
import { type Context, examples } from './program.ts'
import { shellQuote } from './terminal.ts'
import { addClaim, parseDuration } from './values.ts'

interface IssueOptions {
  readonly config: string
  readonly principal: string
  readonly target: string
  readonly role: string
  readonly for: number
  readonly kind: TokenKind
  readonly reason: string
  readonly claim?: Claims
}

const kinds: readonly TokenKind[] = ['one-time', 'single-use', 'reusable']

export function addToken(program: Command, context: Context): void {
  const { operations, terminal, runs } = context
  const token = program.command('token').description('Access tokens.')
  const issue = token
    .command('issue')
    .description('Give somebody access for a time, and print the psql line with its token.')
    .requiredOption('--config <file>', 'the configuration that the proxy runs on')
    .requiredOption('--principal <name>', 'who is to have it: the user name at login')
    .requiredOption('--target <name>', 'which database, by its name in the configuration')
    .requiredOption('--role <name>', 'what it allows, e.g. read_only')
    .requiredOption('--for <duration>', 'for how long from now, e.g. 30m, 8h', parseDuration)
    .addOption(
      new Option('--kind <kind>', 'one sitting, one login, or any number while it is in force')
        .choices([...kinds])
        .default('one-time'),
    )
    .requiredOption('--reason <text>', 'why; it stands in the audit')
    .option('--claim <name=value>', 'what the session context needs of them; repeatable', addClaim)
    .action(
      runs(async ({ config, for: forMs, claim, ...request }: IssueOptions) => {
        const issued = await operations.issueToken({
          ...request,
          configFile: config,
          forMs,
          ...(claim !== undefined && { claims: claim }),
        })
        terminal.stderr.write(
          `Grant ${issued.grantId} for ${request.principal}: ${request.role} on ${request.target}` +
            ` until ${instant(issued.endsAt)}.\n${terms(request.kind, issued)}\n` +
            `The user name ${request.principal}/${issued.tokenId} means this token and no other.\n`,
        )
        terminal.stdout.write(`${psqlLine(issued)}\n`)
        return 0
      }),
    )
  examples(
    issue,
    'pgwarden token issue --config pgwarden.yaml --principal alice --target shop \\',
    '    --role read_only --for 1h --reason "wrong total in order 1234"',
  )
}

/** A command to paste: psql with all that it needs. */
export function psqlLine({ token, connection }: IssuedToken): string {
  const { host, port, database, user, sslmode }: Connection = connection
  const settings = { host, port, dbname: database, user, password: token.reveal(), sslmode }
  const words = Object.entries(settings).map(([name, value]) => `${name}=${quoted(String(value))}`)
  const conninfo = words.join(' ')
  // Double quotes read better, and do where the shell finds nothing to expand between them.
  return `psql ${/["$`\\!]/.test(conninfo) ? shellQuote(conninfo) : `"${conninfo}"`}`
}

/** libpq's rules for a value in a connection string. */
function quoted(value: string): string {
  return /^[\w.:@%+/-]+$/.test(value) ? value : `'${value.replace(/[\\']/g, '\\$&')}'`
}

function terms(kind: TokenKind, { redeemBy }: IssuedToken): string {
  const uses = {
    'one-time': 'The token is good for one sitting from one address',
    'single-use': 'The token is good for exactly one login',
    reusable: 'The token can be used until the grant ends',
  } as const satisfies Record<TokenKind, string>
  return redeemBy === undefined
    ? `${uses[kind]}.`
    : `${uses[kind]}, to be begun by ${instant(redeemBy)}.`
}

function instant(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z')
}
