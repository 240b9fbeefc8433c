// `pgwarden audit` and its `verify`: the journal, checked. Reading it is in audit-read-command.ts. Ignorant of files.

import type { Command } from 'commander'
import { addQuery, addTail } from './audit-read-command.ts'
import type { ChainReport, Operations } from './operations.ts'
import { type Context, examples } from './program.ts'
import { print, printable, styleFor, type Terminal } from './terminal.ts'

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

  addTail(audit, context)
  addQuery(audit, context)
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
