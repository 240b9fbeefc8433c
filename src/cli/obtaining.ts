// From a wish to a grant in force: one that there is, one that is asked for already, or a new request and
// the wait for its approval. Ignorant of what the grant is for.

import type { AccessRequest, Grant } from '../client/answers.ts'
import type { Client } from '../client/client.ts'
import { ApiFailure } from '../client/failure.ts'
import { Failure } from '../errors.ts'
import { exitStatus, Misuse } from './exit-status.ts'
import { logInAtBrowser } from './login-command.ts'
import type { Context } from './program.ts'
import { ask, isInteractive } from './question.ts'
import { statusOfDecision } from './request-command.ts'
import { printable, shellQuote, styleFor } from './terminal.ts'
import { awaitDecision } from './waiting.ts'
import { durationText, left, needsText, requestText } from './wording.ts'

export interface Wish {
  readonly target: string
  readonly role: string | undefined
  readonly forMs: number | undefined
  readonly reason: string | undefined
  readonly wait: boolean
  readonly limitMs: number | undefined
  /** The command that goes on with it, without the name of this program. */
  readonly again: string
}

export type Obtained =
  | { readonly type: 'grant'; readonly grantId: string }
  /** What there is to say was said. */
  | { readonly type: 'none'; readonly status: number }

export async function obtain(
  context: Context,
  client: Client,
  wish: Wish,
  signal: AbortSignal,
): Promise<Obtained> {
  const { stderr } = context.terminal
  const { api } = client
  const principal = await principalOf(context, client, signal)
  const { target } = wish
  const role = wish.role === undefined ? {} : { role: wish.role }
  const { items: grants } = await api.listGrants(
    { state: 'active', principal, target, ...role },
    100,
  )
  const grant = chosen(grants, target)
  if (grant !== undefined) {
    const now = context.outside.clock.now()
    stderr.write(
      `${printable(`Grant ${grant.id}: ${grant.role} on ${target}, ${left(grant, now)}.`)}\n`,
    )
    return { type: 'grant', grantId: grant.id }
  }
  const wanted = await api.listRequests({ state: 'pending', principal, target, ...role }, 100)
  const pending = wanted.items.find((each) => each.extends === undefined)
  const request = pending ?? (await asked(context, client, wish, signal))
  return granted(context, client, wish, request, signal)
}

/** Logs in where nobody is, if there is a person to do it. */
async function principalOf(
  { terminal }: Context,
  client: Client,
  signal: AbortSignal,
): Promise<string> {
  try {
    return (await client.api.me()).principal
  } catch (error) {
    const unknown =
      (error instanceof Failure || error instanceof ApiFailure) && error.code === 'unauthenticated'
    if (!unknown || client.hasKey || !isInteractive(terminal)) throw error
    await logInAtBrowser(terminal, client, signal)
    return (await client.api.me()).principal
  }
}

/** The one that goes furthest: all that the role allows before less, a late end before an early one. */
function chosen(grants: readonly Grant[], target: string): Grant | undefined {
  const roles = [...new Set(grants.map(({ role }) => role))]
  if (roles.length > 1) {
    throw new Misuse({
      message: `you have several roles on ${target}`,
      hint: `Say which one with --role: ${roles.join(', ')}.`,
    })
  }
  const rank = (grant: Grant) =>
    (grant.relations === undefined ? Number.MAX_SAFE_INTEGER / 2 : 0) + Date.parse(grant.endsAt)
  return grants.toSorted((a, b) => rank(b) - rank(a))[0]
}

async function asked(
  { terminal }: Context,
  { api }: Client,
  { target, role, forMs, reason }: Wish,
  signal: AbortSignal,
): Promise<AccessRequest> {
  if (role === undefined) {
    const known = (await api.targets()).find(({ name }) => name === target)
    throw new Misuse({
      message: `you have no access to ${target}, so it has to be asked for`,
      hint:
        known === undefined
          ? 'Say which role with --role; pgwarden targets shows what you may ask for.'
          : `Say which role with --role: ${known.roles.map(({ name }) => name).join(', ')}.`,
    })
  }
  const why = reason ?? (await askedReason())
  if (why === '') {
    throw new Misuse({
      message: 'access is not given without a reason',
      hint: 'Say why with --reason; it stands in the audit.',
    })
  }
  return api.request({
    ...{ target, role, reason: why },
    ...(forMs === undefined ? {} : { durationSeconds: Math.ceil(forMs / 1000) }),
  })

  async function askedReason(): Promise<string> {
    if (!isInteractive(terminal)) return ''
    return ask(terminal, `Why do you need ${role ?? ''} on ${target}? `, signal)
  }
}

async function granted(
  context: Context,
  { api }: Client,
  { wait, limitMs, again }: Wish,
  request: AccessRequest,
  signal: AbortSignal,
): Promise<Obtained> {
  const { stderr, env, self } = context.terminal
  const { id } = request
  const decided = wait ? await awaitDecision(context, api, request, { limitMs, signal }) : request
  const { state, grantId, durationSeconds } = decided
  if (state === 'approved' && grantId !== undefined) {
    stderr.write(`Request ${id} is approved for ${durationText(durationSeconds)}.\n`)
    return { type: 'grant', grantId }
  }
  const lines =
    state === 'pending'
      ? [
          `Request ${id} stands; it needs ${printable(needsText(decided.missing))}.`,
          `  go on:         ${self} ${again}`,
          `  take it back:  ${self} withdraw ${id}`,
        ]
      : [requestText(decided, styleFor(stderr, env), context.outside.clock.now())]
  stderr.write(`${lines.join('\n')}\n`)
  const status = statusOfDecision(decided)
  return { type: 'none', status: status === exitStatus.done ? exitStatus.failed : status }
}

/** The command that finds the same grant again. */
export function sameAgain(words: readonly string[]): string {
  return words.map(shellQuote).join(' ')
}
