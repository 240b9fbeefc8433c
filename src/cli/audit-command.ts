// `pgwarden audit verify` and `pgwarden audit tail`: the journal, checked and read. Ignorant of files.

import type { Command } from 'commander'
import { auditLine } from './audit-line.ts'
import type { ChainReport, Operations } from './operations.ts'
import { type Context, examples } from './program.ts'
import { untilSignalled } from './signals.ts'
import { print, printable, styleFor, type Terminal } from './terminal.ts'
import { parseCount } from './values.ts'

interface TailOptions {
  readonly follow?: boolean
  readonly lines: number
  readonly json?: boolean
}

export function addAudit(program: Command, context: Context): void {
  const { operations, terminal, runs } = context
  const audit = program.command('audit').description('The audit journal.')

  const verify = audit
    .command('verify')
    .description('Check that no record was changed, removed or moved. Status 1 when one was.')
    .argument('<directory>', 'the journal')
    .action(
      runs(async (directory: string) => {
        const { ok, chains } = await (await operations()).verifyJournal(
          directory,
          progress(terminal),
        )
        if (terminal.stderr.isTTY === true) terminal.stderr.write(clearLine)
        for (const chain of chains) await print(terminal.stdout, verdict(chain, terminal))
        return ok ? 0 : 1
      }),
    )
  examples(verify, 'pgwarden audit verify /var/lib/pgwarden/journal')

  const tail = audit
    .command('tail')
    .description('Show the last records: a line each at a terminal, JSON elsewhere.')
    .argument('<directory>', 'the journal')
    .option('-f, --follow', 'go on with what comes, until Ctrl-C')
    .option('-n, --lines <number>', 'how many to begin with', parseCount, 10)
    .option('--json', 'the records as they are stored, at a terminal too')
    .action(
      runs(async (directory: string, { follow, lines, json }: TailOptions) => {
        const { stdout, env } = terminal
        const raw = json === true || stdout.isTTY !== true
        const style = styleFor(stdout, env)
        await untilSignalled(terminal, async (signal) => {
          const options = { follow: follow === true, lines }
          for await (const line of (await operations()).tailJournal(directory, options, signal)) {
            const text = raw ? line : auditLine(line, style)
            await print(stdout, `${text}\n`)
          }
        })
        return 0
      }),
    )
  examples(
    tail,
    'pgwarden audit tail --follow /var/lib/pgwarden/journal',
    `pgwarden audit tail -n 1000 --json /var/lib/pgwarden/journal | jq 'select(.decision == "deny")'`,
  )
}

const clearLine = '\r\u001b[K'

function progress({ stderr }: Terminal): Parameters<Operations['verifyJournal']>[1] {
  return ({ index, of }) => {
    if (stderr.isTTY === true) stderr.write(`${clearLine}file ${index + 1} of ${of}`)
  }
}

function verdict(report: ChainReport, { stdout, env }: Terminal): string {
  const style = styleFor(stdout, env)
  const { chain, records, tip, problem, notes } = report
  const judged =
    problem === undefined
      ? `${style('green', 'ok')},`
      : `${style('red', 'BROKEN')} ${printable(problem.file)}:${problem.line}: ${printable(problem.message)};`
  const lines = [
    `${printable(chain)}: ${judged} ${records} records are good, the last is ${tip.sequence} with hash ${tip.hash}`,
    ...notes.map((note) => `  ${printable(note)}`),
  ]
  return `${lines.join('\n')}\n`
}
