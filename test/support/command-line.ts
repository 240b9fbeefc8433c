// The command line with everything around it played: streams that remember, signals that a test
// sends, operations of which a test gives the ones it needs.

import { EventEmitter } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import type { Operations } from '../../src/cli/operations.ts'
import type { Outside } from '../../src/cli/outside.ts'
import { run } from '../../src/cli/run.ts'
import { systemClock } from '../../src/clock.ts'

const unexpected = (): never => {
  throw new Error('this test expects no such operation')
}

const none: Operations = {
  serve: unexpected,
  checkConfig: unexpected,
  doctor: unexpected,
  issueToken: unexpected,
  listGrants: unexpected,
  revokeGrant: unexpected,
  createKey: unexpected,
  listKeys: unexpected,
  revokeKey: unexpected,
  listLockOuts: unexpected,
  liftLockOut: unexpected,
  policy: unexpected,
  catalog: unexpected,
  snapshot: unexpected,
  grants: unexpected,
  drift: unexpected,
  verifyJournal: unexpected,
  publicKeys: unexpected,
  tailJournal: unexpected,
  queryJournal: unexpected,
  demo: unexpected,
}

const nowhere: Outside = {
  fetch: unexpected,
  clock: systemClock,
  pause: unexpected,
  programs: { has: unexpected, run: unexpected },
}

export interface Surroundings {
  readonly outside?: Partial<Outside>
  readonly stdin?: string | Buffer
  readonly env?: Readonly<Record<string, string>>
  /** Whether the streams are a terminal. */
  readonly tty?: boolean
  readonly signals?: EventEmitter
  readonly exit?: (status: number) => void
}

export interface Ended {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs `pgwarden ...words`. */
export async function pgwarden(
  words: readonly string[],
  operations: Partial<Operations> = {},
  surroundings: Surroundings = {},
): Promise<Ended> {
  const tty = surroundings.tty === true
  const stdout = Object.assign(new PassThrough(), { isTTY: tty })
  const stderr = Object.assign(new PassThrough(), { isTTY: tty })
  const printed = [collected(stdout), collected(stderr)] as const
  const status = await run(
    ['node', 'pgwarden', ...words],
    () => Promise.resolve({ ...none, ...operations }),
    { ...nowhere, ...surroundings.outside },
    {
      stdin: Object.assign(Readable.from([Buffer.from(surroundings.stdin ?? '')]), { isTTY: tty }),
      stdout,
      stderr,
      env: surroundings.env ?? {},
      signals: surroundings.signals ?? new EventEmitter(),
      self: 'pgwarden',
      exit: surroundings.exit ?? unexpected,
    },
  )
  stdout.end()
  stderr.end()
  return { status, stdout: await printed[0], stderr: await printed[1] }
}

async function collected(stream: PassThrough): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return text
}
