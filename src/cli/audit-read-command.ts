// `pgwarden audit tail` and `pgwarden audit query`: the journal read, out of its directory or through a server.
// At a terminal a line for people each, elsewhere JSON for programs. Ignorant of files and of HTTP.

import type { Command } from 'commander'
import { jsonLine } from '../audit/json.ts'
import { readFields } from '../audit/line.ts'
import { type FilterOptions, filterOf, withFilter } from './audit-filter.ts'
import { auditLine } from './audit-line.ts'
import { queryServer, tailServer } from './audit-server.ts'
import { exitStatus, Misuse } from './exit-status.ts'
import type { FoundRecord } from './operations.ts'
import { type Context, examples } from './program.ts'
import { openClient, type RemoteOptions, remote } from './remote.ts'
import { untilSignalled } from './signals.ts'
import { StatusLine } from './status-line.ts'
import { print, printable, styleFor } from './terminal.ts'
import { parseCount, parsePositive } from './values.ts'

interface TailOptions extends FilterOptions, RemoteOptions {
  readonly follow?: boolean
  readonly lines: number
}

interface QueryOptions extends FilterOptions, RemoteOptions {
  readonly limit: number
  readonly whole?: boolean
}

export function addTail(audit: Command, context: Context): void {
  const { operations, outside, terminal, runs } = context
  const tail = withFilter(remote(audit.command('tail')), outside.clock)
    .description('Show the last records, oldest first, and with -f what comes.')
    .argument('[directory]', 'the journal; without it the server is asked')
    .option('-f, --follow', 'go on with what comes, until Ctrl-C')
    .option('-n, --lines <number>', 'how many to begin with', parseCount, 10)
    .action(
      runs(async (directory: string | undefined, options: TailOptions) => {
        const wanted = {
          filter: filterOf(options),
          follow: options.follow === true,
          lines: options.lines,
        }
        await untilSignalled(terminal, async (signal) => {
          const found =
            directory === undefined
              ? tailServer(context, await openClient(context, options.url), wanted, signal)
              : (await operations()).tailJournal(directory, wanted, signal)
          for await (const record of found) await show(context, options, record, false)
        })
        return exitStatus.done
      }),
    )
  examples(
    tail,
    'pgwarden audit tail --follow /var/lib/pgwarden/journal',
    'pgwarden audit tail -f --target shop --decision deny',
    `pgwarden audit tail -n 1000 --json /var/lib/pgwarden/journal | jq 'select(.class == "DDL")'`,
  )
}

export function addQuery(audit: Command, context: Context): void {
  const { outside, runs } = context
  const query = withFilter(remote(audit.command('query')), outside.clock)
    .description('Find records, newest first.')
    .argument('[directory]', 'the journal; without it the server is asked')
    .option('-n, --limit <number>', 'at most that many, the newest', parsePositive, 100)
    .option('--whole', 'texts that were too long for their record, as a whole; of a directory')
    .action(
      runs(async (directory: string | undefined, options: QueryOptions) => {
        if (options.whole === true && directory === undefined) throw wholeOfServer()
        const { stderr } = context.terminal
        const shown = await showFound(context, directory, options)
        if (shown === options.limit)
          stderr.write(`These are the newest ${shown}; there may be more (--limit).\n`)
        else if (shown === 0) stderr.write('There is no such record.\n')
        return exitStatus.done
      }),
    )
  examples(
    query,
    'pgwarden audit query --principal alice --since 2h',
    'pgwarden audit query --relation shop.orders:write --since 2030-01-02T00:00:00Z --limit 1000',
    'pgwarden audit query --type login --text refused --json /var/lib/pgwarden/journal | jq .principal',
  )
}

/** How many there were. */
async function showFound(
  context: Context,
  directory: string | undefined,
  options: QueryOptions,
): Promise<number> {
  const { operations, terminal } = context
  const { limit, whole = false, url } = options
  const filter = filterOf(options)
  // A program that reads our stdout has no use for it.
  const status = terminal.stderr.isTTY === true ? new StatusLine(terminal) : undefined
  const onProgress = (at: string): void => status?.show('looking further back', at)
  let shown = 0
  await untilSignalled(terminal, async (signal) => {
    const found =
      directory === undefined
        ? queryServer(await openClient(context, url), { filter, limit, onProgress }, signal)
        : (await operations()).queryJournal(
            directory,
            { filter, limit, whole, onProgress: ({ time }) => onProgress(time) },
            signal,
          )
    try {
      for await (const record of found) {
        status?.clear()
        await show(context, options, record, true)
        shown += 1
      }
    } finally {
      status?.clear()
    }
  })
  return shown
}

async function show(
  { terminal }: Context,
  { json }: RemoteOptions,
  { chain, line }: FoundRecord,
  dated: boolean,
): Promise<void> {
  const { stdout, env } = terminal
  if (json === true || stdout.isTTY !== true) {
    const fields = readFields(line)
    // What is no record is shown as it is: `audit verify` tells what is wrong with it.
    await print(
      stdout,
      `${fields === undefined ? printable(line) : jsonLine({ chain, ...fields })}\n`,
    )
  } else {
    await print(stdout, `${auditLine({ chain, line }, styleFor(stdout, env), dated)}\n`)
  }
}

function wholeOfServer(): Misuse {
  return new Misuse({
    message: '--whole needs the directory of the journal',
    hint: 'Texts that were too long for their record are in files beside it, which a server does not hand out.',
  })
}
