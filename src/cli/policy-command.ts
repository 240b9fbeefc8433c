// `pgwarden policy`: hands stdin to the check line by line and its answers to stdout, in order and as
// they come; explains one text. Status 1 when anything was denied; 2 when the input could not be read.

import type { Readable } from 'node:stream'
import { TextDecoder } from 'node:util'
import type { Command } from 'commander'
import { Failure } from '../errors.ts'
import { Catalog } from '../policy/catalog.ts'
import { explain } from '../policy/explanation.ts'
import type { Policy } from '../policy/policy.ts'
import { checkLines } from './policy-check.ts'
import { renderExplanation } from './policy-explain.ts'
import { addPolicyGrants } from './policy-grants-command.ts'
import { type Context, examples } from './program.ts'
import { addSnapshot } from './snapshot-command.ts'
import { print, styleFor } from './terminal.ts'

interface JudgeOptions {
  readonly role: string
  readonly config?: string
  readonly catalog?: string
}

interface ExplainOptions extends JudgeOptions {
  readonly sql: string
  readonly json?: true
}

export function addPolicy(program: Command, context: Context): void {
  const policyCommand = program.command('policy').description('The statement policy.')
  addSnapshot(policyCommand, context)
  addPolicyGrants(policyCommand, context)

  const check = judging(policyCommand.command('check'))
    .description(
      'Say what a role may run. Reads {"id": "...", "sql": "..."} a line from stdin, answers a line each.',
    )
    .option('--sql <text>', 'judge this one, and answer for people')
    .action(
      judged(
        context,
        async (policy, { role, sql }: JudgeOptions & { readonly sql?: string }, catalog) =>
          sql === undefined
            ? checkInput(policy, role, catalog, context)
            : explainOne(policy, { role, sql }, catalog, context),
      ),
    )
  examples(
    check,
    `pgwarden policy check --role read_only --sql 'with d as (delete from t) select 1'`,
    'pgwarden policy check --role read_only < statements.ndjson',
  )

  const explanation = judging(policyCommand.command('explain'))
    .description('Say what a query string would do, which rule decides and who may run it.')
    .requiredOption('--sql <text>', 'the query string')
    .option('--json', 'answer for a program')
    .action(
      judged(context, (policy, options: ExplainOptions, catalog) =>
        explainOne(policy, options, catalog, context),
      ),
    )
  examples(
    explanation,
    `pgwarden policy explain --role read_only --sql 'select pg_read_file($1)'`,
    `pgwarden policy explain --role read_only --json --sql 'copy t to stdout' | jq .allowedTo`,
  )
}

/** What every command that judges is told. */
function judging(command: Command): Command {
  return command
    .requiredOption('--role <name>', 'the role to judge for')
    .option('--config <file>', 'a configuration with roles (default: the predefined four)')
    .option('--catalog <file>', 'what "policy snapshot" says of the database to judge for')
}

/** An action on the policy of the options, once their role is known to be one of its. */
function judged<Options extends JudgeOptions>(
  context: Context,
  action: (policy: Policy, options: Options, catalog: Catalog) => Promise<number>,
): (options: Options) => Promise<void> {
  return context.runs(async (options: Options) => {
    const { role, config, catalog: file } = options
    const policy = await (await context.operations()).policy(
      config === undefined ? {} : { configFile: config },
    )
    if (!policy.roles().includes(role)) {
      context.report(unknownRole(role, policy.roles()))
      return 2
    }
    const catalog =
      file === undefined ? Catalog.unread() : await (await context.operations()).catalog(file)
    return action(policy, options, catalog)
  })
}

async function explainOne(
  policy: Policy,
  { role, sql, json }: ExplainOptions,
  catalog: Catalog,
  { terminal: { stdout, env } }: Context,
): Promise<number> {
  const explanation = explain(policy, role, sql, catalog)
  await print(
    stdout,
    json === true
      ? `${JSON.stringify(explanation)}\n`
      : renderExplanation(explanation, styleFor(stdout, env)),
  )
  return explanation.decision === 'allow' ? 0 : 1
}

async function checkInput(
  policy: Policy,
  role: string,
  catalog: Catalog,
  context: Context,
): Promise<number> {
  const { stdin, stdout } = context.terminal
  let denied = false
  try {
    for await (const result of checkLines(policy, role, linesOf(stdin), catalog)) {
      denied ||= result.decision === 'deny'
      await print(stdout, `${JSON.stringify(result)}\n`)
    }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    context.report(error)
    return 2
  }
  return denied ? 1 : 0
}

/**
 * Lines end at a line feed and nowhere else: node:readline would also cut at U+2028, which may stand
 * in a JSON string, and the pieces would be judged in place of the whole.
 */
async function* linesOf(stream: Readable): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let rest = ''
  for await (const chunk of stream) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('stdin must be read as bytes')
    const lines = `${rest}${decoded(decoder, chunk)}`.split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  rest += decoded(decoder)
  if (rest !== '') yield rest
}

function decoded(decoder: TextDecoder, chunk?: Uint8Array): string {
  try {
    return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true })
  } catch (cause) {
    const message = 'the input is not UTF-8'
    throw new Failure('invalid_text', { message }, { cause })
  }
}

function unknownRole(role: string, known: readonly string[]): Failure {
  return new Failure('not_found', {
    message: `there is no role "${role}"`,
    hint: `Choose one of ${known.join(', ')}; --config names a file with more.`,
  })
}
