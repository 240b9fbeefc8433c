// A target's servers, each by itself, before anybody logs in: whether they can be reached, with TLS as the
// configuration demands, and how long their certificates last. Ignorant of logins.

import { type Circumstances, type Finding, fail, ok, warn, within } from './finding.ts'
import { validity } from './validity.ts'

export interface TargetServer {
  /** `host:port` */
  readonly name: string
  /** By the configuration, as libpq's sslmode. */
  readonly mode: string
  /** Connects, with TLS where the mode asks for it, and leaves without a login. @throws */
  readonly probe: (signal: AbortSignal) => Promise<Connected>
}

interface Connected {
  readonly loopback: boolean
  /** DER; undefined where there is no TLS. */
  readonly certificate: Buffer | undefined
}

const limit = 10_000

/** Returns how many can be reached. */
export async function* examineServers(
  target: string,
  servers: readonly TargetServer[],
  circumstances: Circumstances,
): AsyncGenerator<Finding, number> {
  let reached = 0
  for (const { name, mode, probe } of servers) {
    const subject = `target ${target} at ${name}`
    try {
      const connected = await within(circumstances, `connecting to ${name}`, limit, probe)
      reached += 1
      yield* encryption(subject, mode, connected, circumstances.clock.now())
    } catch (error) {
      yield fail(
        subject,
        error,
        'Look at host, port and tls of the target, and at listen_addresses and ssl of the server.',
      )
    }
  }
  return reached
}

function* encryption(
  subject: string,
  mode: string,
  { loopback, certificate }: Connected,
  now: number,
): Generator<Finding> {
  if (certificate === undefined) {
    if (loopback) yield ok(subject, `reached without TLS (tls.mode is ${mode}), on this machine`)
    else {
      yield warn(
        subject,
        `reached without TLS (tls.mode is ${mode}): logins and data cross the network in the clear`,
        'Switch ssl on at the server, and write tls: { mode: verify-full }.',
      )
    }
    return
  }
  if (mode === 'verify-full' || mode === 'verify-ca') {
    yield ok(subject, `reached with TLS, its certificate verified (tls.mode is ${mode})`)
  } else {
    yield warn(
      subject,
      `reached with TLS, but anybody’s certificate would do (tls.mode is ${mode})`,
      'Write tls: { mode: verify-full }, with the server’s authority in tls.ca.',
    )
  }
  yield validity(subject, 'its certificate', certificate, now)
}
