// Channels that are told of changes, as a configuration says them. Here is decided what a channel hears
// that does not say, and that nothing leaves this machine in the clear. Ignorant of what is told, and how.

import { X509Certificate } from 'node:crypto'
import { z } from 'zod'
import type { Change } from '../access/change.ts'
import { isLoopback } from '../loopback.ts'
import type { Secret } from '../secret.ts'
import type { Problem } from './problems.ts'
import { fileText, keys, list, name, oneOrMore, type Surroundings, secret } from './values.ts'

type ChangeType = Change['type']

interface Place {
  readonly name: string
  /** Slack's says all that a stranger needs to write there. */
  readonly url: Secret
  /** PEM; the authorities that Node trusts when absent. */
  readonly ca: string | undefined
  readonly events: readonly ChangeType[]
}

export type ChannelConfig =
  | (Place & {
      readonly type: 'webhook'
      /** Each signs: there are two while one is replaced by the other. */
      readonly secrets: readonly Secret[]
    })
  | (Place & { readonly type: 'slack' })

/** Whoever does not say hears of what somebody has to act on, or would want to know at once. */
const usual = [
  'request.created',
  'request.approved',
  'request.denied',
  'request.expired',
  'grant.ending',
  'grant.extended',
  'grant.revoked',
  'login.locked',
  'key.created',
] as const satisfies readonly ChangeType[]

const unusual = [
  'request.endorsed',
  'request.withdrawn',
  'grant.expired',
  'token.issued',
  'session.ended',
  'login.unlocked',
  'key.revoked',
] as const satisfies readonly ChangeType[]

const events = z
  .array(
    z.enum([...usual, ...unusual], `expected one of ${[...usual, ...unusual].join(', ')}`),
    list,
  )
  .min(1, 'expected at least one event')
  .default([...usual])

export function notificationsSchema(surroundings: Surroundings) {
  const secretText = secret(surroundings)
  const url = secretText.refine(isSafeUrl, {
    error: 'expected a URL that begins with https://; http:// does for this machine only',
  })
  const webhook = keys({
    url,
    secret: oneOrMore(secretText.refine(isSigningSecret, { error: signingSecret })),
    ca: fileText(surroundings)
      .refine(isCertificate, { error: 'expected a file with a certificate in PEM' })
      .optional(),
    events,
  })
  const slack = keys({ url, events })
  const expected = 'expected one channel: a webhook or slack, with a name where there are several'
  return z
    .array(
      keys({ name: name.optional(), webhook: webhook.optional(), slack: slack.optional() }).refine(
        (channel) => (channel.webhook === undefined) !== (channel.slack === undefined),
        { error: expected },
      ),
      list,
    )
    .default([])
}

type RawChannels = z.output<ReturnType<typeof notificationsSchema>>

export function channelsOf(raw: RawChannels): readonly ChannelConfig[] {
  return raw.flatMap(({ name, webhook, slack }): ChannelConfig[] => {
    if (webhook !== undefined) {
      const { url, secret: secrets, ca, events } = webhook
      return [{ type: 'webhook', name: name ?? 'webhook', url, secrets, ca, events }]
    }
    return slack === undefined
      ? []
      : [{ type: 'slack', name: name ?? 'slack', ca: undefined, ...slack }]
  })
}

/** What waits for a channel is kept under its name. */
export function channelProblems(raw: RawChannels): Problem[] {
  const names = channelsOf(raw).map(({ name }) => name)
  return names.flatMap((name, at) =>
    names.indexOf(name) === at
      ? []
      : [
          {
            path: ['notifications', at],
            message: `another channel is called "${name}" already: give this one a name`,
          },
        ],
  )
}

export function isSafeUrl(url: Secret): boolean {
  if (!URL.canParse(url.reveal())) return false
  const { protocol, hostname } = new URL(url.reveal())
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))
}

export const signingSecret =
  'expected whsec_ and 24 to 64 random bytes in base64; openssl rand -base64 32 makes such'

/** Standard Webhooks' form. A short one could be guessed from a single letter, offline. */
export function isSigningSecret(secret: Secret): boolean {
  const [, base64] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret.reveal()) ?? []
  const { length } = Buffer.from(base64 ?? '', 'base64')
  return length >= 24 && length <= 64
}

export function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).serialNumber !== ''
  } catch {
    return false
  }
}
