// The section `identity`: which identity provider vouches for people and services, and what its tokens call
// them. Here is decided that keys and tokens of it travel in the clear on this machine alone.
// OpenID Connect Discovery 1.0, section 4; RFC 9068.

import { z } from 'zod'
import { duration, fileText, keys, list, type Surroundings, text, webAddress } from './values.ts'

interface OidcConfig {
  /** As the tokens' `iss` has it, character by character. */
  readonly issuer: string
  /** What a token must be meant for: one of these in its `aud`. */
  readonly audience: readonly string[]
  /** Of the command line client; without it `pgwarden login` says that it cannot. */
  readonly clientId: string | undefined
  /** What the command line client asks for. */
  readonly scopes: readonly string[]
  /** Where the keys are, when not where the issuer's metadata say. */
  readonly jwks: string | undefined
  /** The claim that holds a person's name. */
  readonly principalClaim: string
  readonly groupsClaim: string
  /** What tells a service's token, beside a subject that is its own client. */
  readonly serviceClaim: { readonly name: string; readonly value: string | undefined } | undefined
  /** What the names of services begin with; no person's does. */
  readonly servicePrefix: string
  readonly clockSkewMs: number
  /** PEM; the authorities that Node trusts when absent. */
  readonly ca: string | undefined
}

export interface IdentityConfig {
  /** Without it only API keys are taken. */
  readonly oidc: OidcConfig | undefined
}

const word = z.string('expected a word').regex(/^[^\s\p{Cc}]{1,128}$/u, 'expected one word')

export function identitySchema(surroundings: Surroundings) {
  const oidc = keys({
    issuer: webAddress,
    audience: z
      .union([word.transform((one) => [one]), z.array(word, list)], 'expected a text, or several')
      .refine((all) => all.length > 0, 'expected at least one'),
    clientId: word.optional(),
    scopes: z.array(word, list).default(['openid', 'profile', 'groups']),
    jwks: webAddress.optional(),
    principalClaim: word.default('preferred_username'),
    groupsClaim: word.default('groups'),
    serviceClaim: keys({ name: word, value: text.optional() }).optional(),
    servicePrefix: word.default('service-'),
    clockSkew: duration('0s', '5m').prefault('30s'),
    ca: fileText(surroundings).optional(),
  })
  return keys({ oidc: oidc.optional() })
}

export function identityOf({ oidc }: z.output<ReturnType<typeof identitySchema>>): IdentityConfig {
  if (oidc === undefined) return { oidc: undefined }
  const { clientId, jwks, serviceClaim, clockSkew, ca, ...others } = oidc
  return {
    oidc: {
      ...others,
      clientId,
      jwks,
      serviceClaim: serviceClaim && { name: serviceClaim.name, value: serviceClaim.value },
      clockSkewMs: clockSkew,
      ca,
    },
  }
}
