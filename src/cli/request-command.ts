// `pgwarden request` and `pgwarden withdraw`: asking for access, and taking that back.

import { type Command, InvalidArgumentError } from 'commander'
import type { AccessRequest } from '../client/answers.ts'
import type { Terms } from '../client/api.ts'
import { exitStatus } from './exit-status.ts'
import { type Context, examples } from './program.ts'
import { openClient, printOne, type RemoteOptions, remote } from './remote.ts'
import { untilSignalled } from './signals.ts'
import { printable, styleFor } from './terminal.ts'
import { parseDuration } from './values.ts'
import { awaitDecision } from './waiting.ts'
import { requestText } from './wording.ts'

interface RequestOptions extends RemoteOptions {
  readonly role: string
  readonly reason: string
  readonly for?: number
  readonly from?: string
  readonly read?: readonly string[]
  readonly write?: readonly string[]
  readonly deny?: readonly string[]
  readonly wait?: boolean
  readonly timeout?: number
}

export function addRequest(program: Command, context: Context): void {
  const { runs } = context
  const request = remote(program.command('request'))
    .description('Ask for access. It is given at once where the rules allow that.')
    .argument('<target>', 'which database')
    .requiredOption('--role <name>', 'what it is to allow, e.g. read_only')
    .requiredOption('--reason <text>', 'why; approvers read it, and it stands in the audit')
    .option(
      '--for <duration>',
      'for how long, e.g. 30m, 8h (default: of the server)',
      parseDuration,
    )
    .option('--from <time>', 'from when on, e.g. 2030-01-31T08:00Z (default: approval)', parseTime)
    .option('--read <relations...>', 'only these may be read, e.g. sales.* public.items')
    .option('--write <relations...>', 'only these may be written')
    .option('--deny <relations...>', 'these may be neither read nor written')
    .option('--wait', 'wait for the decision')
    .option('--timeout <duration>', 'wait no longer than that', parseDuration)
    .action(
      runs(async (target: string, options: RequestOptions) => {
        const { api } = await openClient(context, options.url)
        const asked = await api.request(termsOf(target, options))
        const waits = options.wait === true || options.timeout !== undefined
        const request = waits
          ? await untilSignalled(context.terminal, (signal) =>
              awaitDecision(context, api, asked, { limitMs: options.timeout, signal }),
            )
          : asked
        await printRequest(context, options, request)
        if (options.json !== true) context.terminal.stderr.write(nextSteps(context, request))
        return waits ? statusOfDecision(request) : exitStatus.done
      }),
    )
  examples(
    request,
    'pgwarden request shop --role read_only --for 2h --reason "wrong total in order 1234"',
    'pgwarden request shop --role read_full_write --reason "fix order 1234" --write shop.orders --wait',
  )

  const withdraw = remote(program.command('withdraw'))
    .description('Take a request back that is not decided yet.')
    .argument('<request>', 'its id')
    .action(
      runs(async (id: string, options: RemoteOptions) => {
        const { api } = await openClient(context, options.url)
        await printRequest(context, options, await api.withdraw(id))
        return exitStatus.done
      }),
    )
  examples(withdraw, 'pgwarden withdraw 7h2k4m6n3p5q2r4t')
}

/** What comes after it, for both sides. */
function nextSteps({ terminal: { self } }: Context, { id, state, target, role }: AccessRequest) {
  const begin = printable(`${self} psql ${target} --role ${role}`)
  switch (state) {
    case 'pending':
      return `An approver says yes with:  ${self} approve ${id}\nThen begin with:            ${begin}\n`
    case 'approved':
      return `Begin with: ${begin}\n`
    case 'denied':
    case 'withdrawn':
    case 'expired':
      return ''
  }
}

export async function printRequest(
  context: Context,
  options: RemoteOptions,
  request: AccessRequest,
): Promise<void> {
  const { stdout, env } = context.terminal
  const now = context.outside.clock.now()
  await printOne(context, options, request, (value) =>
    requestText(value, styleFor(stdout, env), now),
  )
}

/** Of a command that waited for it. */
export function statusOfDecision({ state }: AccessRequest): number {
  switch (state) {
    case 'approved':
      return exitStatus.done
    case 'pending':
    case 'expired':
      return exitStatus.pending
    case 'denied':
    case 'withdrawn':
      return exitStatus.failed
  }
}

function termsOf(target: string, options: RequestOptions): Terms {
  const { role, reason, for: forMs, from, read, write, deny } = options
  const relations = {
    ...(read === undefined ? {} : { read: [...read] }),
    ...(write === undefined ? {} : { write: [...write] }),
    ...(deny === undefined ? {} : { deny: [...deny] }),
  }
  return {
    ...{ target, role, reason },
    ...(forMs === undefined ? {} : { durationSeconds: Math.ceil(forMs / 1000) }),
    ...(from === undefined ? {} : { startsAt: from }),
    ...(Object.keys(relations).length === 0 ? {} : { relations }),
  }
}

function parseTime(text: string): string {
  // Without a zone two people would read two times in it.
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)$/.test(text)) {
    const time = new Date(text)
    if (!Number.isNaN(time.getTime())) return time.toISOString()
  }
  throw new InvalidArgumentError(
    'A time is written like 2030-01-31T08:00Z or 2030-01-31T08:00+02:00.',
  )
}
