// `pgwarden policy check`: hands stdin to the check line by line and its answers to stdout, in order
// and as they come. Status 1 when anything was denied; 2 when the input could not be read.

import type { Readable } from 'node:stream'
import { TextDecoder } from 'node:util'
import type { Command } from 'commander'
import { Failure } from '../errors.ts'
import type { Catalog } from '../policy/catalog.ts'
import type { Policy } from '../policy/policy.ts'
import { checkLines, checkStatement, renderCheck } from './policy-check.ts'
import { type Context, examples } from './program.ts'
import { addSnapshot } from './snapshot-command.ts'
import { print } from './terminal.ts'

interface CheckOptions {
  readonly role: string
  readonly config?: string
  readonly sql?: string
  readonly catalog?: string
}

export function addPolicy(program: Command, context: Context): void {
  const { operations, runs } = context
  const policy = program.command('policy').description('The statement policy.')
  addSnapshot(policy, context)
  const check = policy
    .command('check')
    .description(
      'Say what a role may run. Reads {"id": "...", "sql": "..."} a line from stdin, answers a line each.',
    )
    .requiredOption('--role <name>', 'the role to judge for')
    .option('--config <file>', 'a configuration with roles (default: the predefined four)')
    .option('--catalog <file>', 'what "policy snapshot" says of the database to judge for')
    .option('--sql <text>', 'judge this one, and answer for people')
    .action(
      runs(async ({ role, config, catalog: file, sql }: CheckOptions) => {
        const policy = await operations.policy(config === undefined ? {} : { configFile: config })
        if (!policy.roles().includes(role)) {
          context.report(unknownRole(role, policy.roles()))
          return 2
        }
        const catalog = file === undefined ? undefined : await operations.catalog(file)
        if (sql === undefined) return checkInput(policy, role, catalog, context)
        await print(context.terminal.stdout, renderCheck(policy, role, sql, catalog))
        return checkStatement(policy, role, { id: '', sql }, catalog).decision === 'allow' ? 0 : 1
      }),
    )
  examples(
    check,
    `pgwarden policy check --role read_only --sql 'with d as (delete from t) select 1'`,
    'pgwarden policy check --role read_only < statements.ndjson',
  )
}

async function checkInput(
  policy: Policy,
  role: string,
  catalog: Catalog | undefined,
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
