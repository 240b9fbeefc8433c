// `pgwarden token`: a token on a grant that one has; and `token issue`, with which an operator gives a grant and
// its token by hand, past the control plane. The line to use it goes to stdout, all else to stderr, so that
// a script can take the one and a person sees both.

import { type Command, Option } from 'commander'
import type { Claims, TokenKind } from '../access/access.ts'
import { psqlLine } from '../access/connection-lines.ts'
import type { Token } from '../client/answers.ts'
import { exitStatus } from './exit-status.ts'
import { type Context, examples } from './program.ts'
import { openClient, printOne, type RemoteOptions, remote } from './remote.ts'
import { printable } from './terminal.ts'
import { tokenKinds, tokenTerms } from './token-terms.ts'
import { addClaim, parseDuration } from './values.ts'
import { instantText } from './wording.ts'

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

export function addToken(program: Command, context: Context): void {
  const { operations, terminal, runs } = context
  const token = remote(program.command('token'))
    .description('Get an access token on a grant of yours, and print the psql line with it.')
    .enablePositionalOptions()
    .argument('<grant>', 'its id, as grants shows it')
    .addOption(kindOption())
    .action(
      runs(async (grantId: string, options: RemoteOptions & { readonly kind?: TokenKind }) => {
        const { api } = await openClient(context, options.url)
        const issued = await api.issueToken(grantId, options.kind)
        if (options.json !== true) terminal.stderr.write(`${termsOf(issued)}\n`)
        await printOne(context, options, issued, ({ lines }) => lines.psql)
        return exitStatus.done
      }),
    )
  examples(
    token,
    'pgwarden token 7h2k4m6n3p5q2r4t',
    'pgwarden token 7h2k4m6n3p5q2r4t --kind reusable',
  )

  const issue = token
    .command('issue')
    .description('Give somebody access for a time, and print the psql line with its token.')
    .requiredOption('--config <file>', 'the configuration that the proxy runs on')
    .requiredOption('--principal <name>', 'who is to have it: the user name at login')
    .requiredOption('--target <name>', 'which database, by its name in the configuration')
    .requiredOption('--role <name>', 'what it allows, e.g. read_only')
    .requiredOption('--for <duration>', 'for how long from now, e.g. 30m, 8h', parseDuration)
    .addOption(kindOption().default('one-time'))
    .requiredOption('--reason <text>', 'why; it stands in the audit')
    .option('--claim <name=value>', 'what the session context needs of them; repeatable', addClaim)
    .action(
      runs(async ({ config, for: forMs, claim, ...request }: IssueOptions) => {
        const issued = await (await operations()).issueToken({
          ...request,
          configFile: config,
          forMs,
          ...(claim !== undefined && { claims: claim }),
        })
        const redeemBy = issued.redeemBy === undefined ? undefined : instantText(issued.redeemBy)
        terminal.stderr.write(
          `Grant ${issued.grantId} for ${request.principal}: ${request.role} on ${request.target}` +
            ` until ${instantText(issued.endsAt)}.\n${tokenTerms(request.kind, redeemBy)}\n` +
            `The user name ${request.principal}/${issued.tokenId} means this token and no other.\n`,
        )
        terminal.stdout.write(`${psqlLine(issued.connection, issued.token)}\n`)
        return 0
      }),
    )
  examples(
    issue,
    'pgwarden token issue --config pgwarden.yaml --principal alice --target shop \\',
    '    --role read_only --for 1h --reason "wrong total in order 1234"',
  )
}

export function kindOption(): Option {
  return new Option(
    '--kind <kind>',
    'one sitting, one login, or any number while it is in force',
  ).choices(tokenKinds)
}

export function termsOf({ kind, redeemBy }: Token): string {
  const known = tokenKinds.find((each) => each === kind)
  return known === undefined
    ? `The token is of kind ${printable(kind)}.`
    : tokenTerms(known, redeemBy === undefined ? undefined : instantText(redeemBy))
}
