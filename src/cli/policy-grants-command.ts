// `pgwarden policy grants`: what a database role must be granted for a pgwarden role on a target, as SQL;
// with --check, whether a database role has just that. Status 1 when it has not. Ignorant of privileges.

import { Argument, type Command } from 'commander'
import { type Context, examples } from './program.ts'
import { print, printable } from './terminal.ts'

interface GrantsOptions {
  readonly config: string
  readonly target: string
  readonly databaseRole?: string
  readonly check?: true
}

export function addPolicyGrants(policy: Command, { operations, runs, terminal }: Context): void {
  const grants = policy
    .command('grants')
    .description('Print the GRANT statements that give a database role just what a role may do.')
    .addArgument(new Argument('<role>', 'the pgwarden role'))
    .requiredOption('--config <file>', 'the configuration')
    .requiredOption('--target <name>', 'the target whose catalog is read')
    .option(
      '--database-role <name>',
      'a database role that stays (default: {{name}} of a new login)',
    )
    .option('--check', 'compare with what that database role has, and print what differs')
    .action(
      runs(async (role: string, options: GrantsOptions) => {
        const { config: configFile, target, databaseRole } = options
        if (options.check !== true) {
          const statements = await (await operations()).grants({
            configFile,
            target,
            role,
            databaseRole,
          })
          await print(terminal.stdout, statements.map((statement) => `${statement}\n`).join(''))
          return 0
        }
        if (databaseRole === undefined) {
          terminal.stderr.write('error: --check needs --database-role\n')
          return 2
        }
        const request = { configFile, target, role, databaseRole }
        const { tooMuch, missing } = await (await operations()).drift(request)
        const lines = [
          ...tooMuch.map((line) => `too much: ${line}`),
          ...missing.map((line) => `missing:  ${line}`),
        ]
        await print(terminal.stdout, lines.map((line) => `${printable(line)}\n`).join(''))
        return lines.length === 0 ? 0 : 1
      }),
    )
  examples(
    grants,
    'pgwarden policy grants read_only --target shop --config pgwarden.yaml',
    'pgwarden policy grants read_only --target shop --config pgwarden.yaml --database-role reporting | psql -1 shop',
    'pgwarden policy grants read_only --target shop --config pgwarden.yaml --database-role reporting --check',
  )
}
