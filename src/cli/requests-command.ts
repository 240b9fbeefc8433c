// `pgwarden requests`, `approve` and `deny`: the requests that there are, and the word of who decides.

import { type Command, Option } from 'commander'
import type { AccessRequest } from '../client/answers.ts'
import type { Client } from '../client/client.ts'
import { exitStatus } from './exit-status.ts'
import { type Context, examples } from './program.ts'
import { openClient, printList, type RemoteOptions, remote } from './remote.ts'
import { printRequest, statusOfDecision } from './request-command.ts'
import { untilSignalled } from './signals.ts'
import type { Column } from './table.ts'
import { print, printable, styleFor } from './terminal.ts'
import { parseDuration, parsePositive } from './values.ts'
import { awaitDecision } from './waiting.ts'
import { durationText, needsText, requestColour } from './wording.ts'

interface ListOptions extends RemoteOptions {
  readonly state?: string
  readonly principal?: string
  readonly target?: string
  readonly role?: string
  readonly toDecide?: boolean
  readonly limit: number
  readonly watch?: boolean
  readonly timeout?: number
}

const states = ['pending', 'approved', 'denied', 'withdrawn', 'expired'] as const
const watchEveryMs = 3_000

export function addRequests(program: Command, context: Context): void {
  const { runs } = context
  const requests = remote(program.command('requests'))
    .description('Show requests: your own, and those that you may decide or see; or one of them.')
    .argument('[request]', 'the id of one')
    .addOption(new Option('--state <state>', 'only those').choices(states))
    .option('--principal <name>', 'only those of somebody')
    .option('--target <name>', 'only those for a database')
    .option('--role <name>', 'only those for a role')
    .option('--to-decide', 'only those that wait for your word')
    .option('-n, --limit <number>', 'at most that many, the newest', parsePositive, 50)
    .option('-w, --watch', 'go on with what changes, until Ctrl-C; of one: until it is decided')
    .option('--timeout <duration>', 'with --watch: wait no longer than that', parseDuration)
    .action(
      runs(async (id: string | undefined, options: ListOptions) => {
        const client = await openClient(context, options.url)
        if (id !== undefined) return one(context, client, id, options)
        if (options.watch === true) return watch(context, client, options)
        const list = await client.api.listRequests(filterOf(options), options.limit)
        const none = options.toDecide === true ? 'Nothing waits for you.' : 'There is no request.'
        await printList(context, options, list, columns, none)
        return exitStatus.done
      }),
    )
  examples(
    requests,
    'pgwarden requests --to-decide',
    'pgwarden requests 7h2k4m6n3p5q2r4t --watch',
    `pgwarden requests --state pending --json | jq -r '.id'`,
  )

  for (const [decision, past] of [
    ['approve', 'Say yes to a request. Where several must, it waits for the others.'],
    ['deny', 'Say no to a request, which ends it.'],
  ] as const) {
    const command = remote(program.command(decision))
      .description(past)
      .argument('<request>', 'its id')
      .option('--comment <text>', 'what to tell the one who asked; it stands in the audit')
      .action(
        runs(async (id: string, options: RemoteOptions & { readonly comment?: string }) => {
          const { api } = await openClient(context, options.url)
          await printRequest(context, options, await api.decide(id, decision, options.comment))
          return exitStatus.done
        }),
      )
    examples(command, `pgwarden ${decision} 7h2k4m6n3p5q2r4t --comment "as we said on the phone"`)
  }
}

async function one(
  context: Context,
  { api }: Client,
  id: string,
  options: ListOptions,
): Promise<number> {
  const found = await api.findRequest(id)
  if (options.watch !== true) {
    await printRequest(context, options, found)
    return exitStatus.done
  }
  const decided = await untilSignalled(context.terminal, (signal) =>
    awaitDecision(context, api, found, { limitMs: options.timeout, signal }),
  )
  await printRequest(context, options, decided)
  return statusOfDecision(decided)
}

/** A line for each request, and another one whenever it is not as it was. */
async function watch(context: Context, { api }: Client, options: ListOptions): Promise<number> {
  const { terminal, outside } = context
  const { stdout, env } = terminal
  const style = styleFor(stdout, env)
  const begun = outside.clock.elapsed()
  const shown = new Map<string, string>()
  await untilSignalled(terminal, async (signal) => {
    for (;;) {
      const { items } = await api.listRequests(filterOf(options), options.limit)
      for (const request of items.toReversed()) {
        const line = lineOf(request)
        if (shown.get(request.id) === line) continue
        shown.set(request.id, line)
        const text =
          options.json === true
            ? JSON.stringify(request)
            : style(requestColour[request.state], line)
        await print(stdout, `${text}\n`)
      }
      // What left the list comes back as a line, and what is remembered stays as small as the list.
      const present = new Set(items.map(({ id }) => id))
      for (const id of shown.keys()) if (!present.has(id)) shown.delete(id)
      const { timeout } = options
      if (timeout !== undefined && outside.clock.elapsed() - begun >= timeout) return
      await outside.pause(watchEveryMs, signal)
      if (signal.aborted) return
    }
  })
  return exitStatus.done
}

function lineOf({ id, state, principal, role, target, missing, reason }: AccessRequest): string {
  const needs = state === 'pending' ? `, needs ${needsText(missing)}` : ''
  return printable(`${id} ${state}: ${principal}, ${role} on ${target}${needs} (${reason})`)
}

function filterOf({ state, principal, target, role, toDecide }: ListOptions) {
  return {
    ...(state === undefined ? {} : { state }),
    ...(principal === undefined ? {} : { principal }),
    ...(target === undefined ? {} : { target }),
    ...(role === undefined ? {} : { role }),
    ...(toDecide === true ? { decidable: true } : {}),
  }
}

const columns: readonly Column<AccessRequest>[] = [
  { heading: 'REQUEST', text: ({ id }) => id },
  { heading: 'STATE', text: ({ state }) => state, colour: ({ state }) => requestColour[state] },
  { heading: 'WHO', text: ({ principal }) => principal },
  { heading: 'ROLE', text: ({ role }) => role },
  { heading: 'TARGET', text: ({ target }) => target },
  {
    heading: 'FOR',
    text: (request) =>
      `${durationText(request.durationSeconds)}${request.extends === undefined ? '' : ' more'}`,
  },
  {
    heading: 'NEEDS',
    text: ({ state, missing }) => (state === 'pending' ? needsText(missing) : ''),
  },
  { heading: 'REASON', text: ({ reason }) => reason },
]
