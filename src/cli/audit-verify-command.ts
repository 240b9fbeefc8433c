// `pgwarden audit verify` and `pgwarden audit public-key`: whether the journal can be trusted, and the key
// that it takes to know. Ignorant of files.

import type { Command } from 'commander'
import type { ChainReport, NamedStatements, Verdict } from '../audit/verdict.ts'
import { type Context, examples } from './program.ts'
import { StatusLine } from './status-line.ts'
import { type Column, table } from './table.ts'
import { print, printable, type Style, styleFor } from './terminal.ts'
import { oneMore } from './values.ts'

interface VerifyOptions {
  readonly publicKey: readonly string[]
  readonly checkpoints?: string
  readonly strict?: boolean
  readonly json?: boolean
}

/** What a person reads of a long list; --json has more. */
const mostShown = 20

export function addVerify(audit: Command, { operations, terminal, runs }: Context): void {
  const verify = audit
    .command('verify')
    .description('Check that no record was changed, removed or moved. Status 1 when one was.')
    .argument('<directory>', 'the journal')
    .option('--public-key <file>', 'who may have signed its checkpoints; repeatable', oneMore, [])
    .option(
      '--checkpoints <file>',
      'JSON lines that a sink received: their checkpoints must be in it',
    )
    .option('--strict', 'status 1 for statements without an outcome, too')
    .option('--json', 'all that was found, at a terminal too')
    .action(
      runs(async (directory: string, options: VerifyOptions) => {
        const { stdout, stderr, env } = terminal
        // A program that reads our stdout has no use for it.
        const status = stderr.isTTY === true ? new StatusLine(terminal) : undefined
        const { verifyJournal } = await operations()
        const verdict = await verifyJournal(directory, {
          publicKeyFiles: options.publicKey,
          checkpointsFile: options.checkpoints,
          onProgress: ({ index, of }) => status?.show('verifying', `file ${index + 1} of ${of}`),
        }).finally(() => status?.clear())
        const raw = options.json === true || stdout.isTTY !== true
        await print(stdout, raw ? jsonOf(verdict) : described(verdict, styleFor(stdout, env)))
        const lost = verdict.chains.some((chain) => chain.lost.count > 0)
        return verdict.ok && !(options.strict === true && lost) ? 0 : 1
      }),
    )
  examples(
    verify,
    'pgwarden audit verify /var/lib/pgwarden/journal --public-key checkpoints.pem',
    `pgwarden audit verify DIR --public-key F --checkpoints received.jsonl | jq '.chains[].problems'`,
  )

  const publicKey = audit
    .command('public-key')
    .description(
      'Print the public key of the checkpoints, for whoever verifies: all versions in Vault.',
    )
    .requiredOption('--config <file>', 'the configuration')
    .action(
      runs(async ({ config }: { readonly config: string }) => {
        const pems = await (await operations()).publicKeys({ configFile: config })
        await print(terminal.stdout, pems.join(''))
        return 0
      }),
    )
  examples(publicKey, 'pgwarden audit public-key --config pgwarden.yaml > checkpoints.pem')
}

function jsonOf(verdict: Verdict): string {
  return `${JSON.stringify(verdict)}\n`
}

function described({ chains, problems }: Verdict, style: Style): string {
  const details = chains.flatMap((chain) => {
    const told = detailsOf(chain, style)
    return told.length === 0 ? [] : ['', `${style('bold', printable(chain.chain))}:`, ...told]
  })
  const of = problems.map(({ message }) => style('red', printable(message)))
  return [table(chains, columns, style).trimEnd(), ...details, ...of, ''].join('\n')
}

const columns: readonly Column<ChainReport>[] = [
  { heading: 'CHAIN', text: ({ chain }) => chain },
  {
    heading: 'VERDICT',
    text: ({ problems }) => (problems.length === 0 ? 'ok' : 'BROKEN'),
    colour: ({ problems }) => (problems.length === 0 ? 'green' : 'red'),
  },
  { heading: 'FILES', text: ({ segments }) => String(segments) },
  { heading: 'RECORDS', text: ({ records }) => String(records) },
  { heading: 'STATEMENTS', text: ({ statements }) => String(statements) },
  { heading: 'LOST', text: ({ lost }) => String(lost.count) },
  { heading: 'CHECKPOINTS', text: ({ checkpoints }) => String(checkpoints.count) },
  { heading: 'LAST', text: ({ tip }) => String(tip.sequence) },
]

function detailsOf(chain: ChainReport, style: Style): readonly string[] {
  const { problems, lost, running, checkpoints, tip, notes } = chain
  const signed =
    checkpoints.count === 0
      ? ['there are no checkpoints: whoever can write here could have rewritten the whole chain']
      : ['the signatures of the checkpoints were not checked: give --public-key']
  return [
    ...problems
      .slice(0, mostShown)
      .map(
        ({ file, line, kind, message }) =>
          `${style('red', kind)} ${printable(file)}:${line}: ${printable(message)}`,
      ),
    ...more(problems.length),
    ...named(lost, 'lost: their process died before it had recorded an outcome'),
    ...named(running, 'without an outcome yet: running still, or the end of the chain was cut off'),
    ...(checkpoints.checked ? [] : signed),
    ...notes.map(printable),
    `the last good record is ${tip.sequence} with hash ${tip.hash}`,
  ].map((line) => `  ${line}`)
}

function named({ count, ids }: NamedStatements, what: string): readonly string[] {
  if (count === 0) return []
  const shown = ids.slice(0, mostShown).map(printable).join(', ')
  return [`${count} statement(s) ${what}: ${shown}${count > mostShown ? ', ...' : ''}`]
}

function more(count: number): readonly string[] {
  return count > mostShown ? [`and ${count - mostShown} more`] : []
}
