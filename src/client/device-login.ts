// Logging in at an identity provider without a browser of our own: OAuth 2.0 Device Authorization Grant
// (RFC 8628), refreshing (RFC 6749, 6) and giving back (RFC 7009). Ignorant of where logins are kept.

import {
  allowInsecureRequests,
  type Configuration,
  customFetch,
  discovery,
  initiateDeviceAuthorization,
  None,
  pollDeviceAuthorizationGrant,
  ResponseBodyError,
  refreshTokenGrant,
  tokenRevocation,
} from 'openid-client'
import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'
import { isLoopback } from '../loopback.ts'
import { Secret } from '../secret.ts'
import type { Login } from './credentials-file.ts'
import type { Fetch } from './exchange.ts'

export interface Provider {
  readonly issuer: string
  readonly clientId: string
}

/** What the person is to do. */
export interface DeviceCode {
  readonly url: string
  readonly code: string
  /** The URL with the code in it, where the provider has one. */
  readonly complete: string | undefined
}

export interface Tools {
  readonly fetch: Fetch
  readonly clock: Clock
}

const limitSeconds = 15

/** Resolves when the person has logged in; rejects when that was refused, or took too long. */
export async function logIn(
  provider: Provider & { readonly scopes: readonly string[] },
  tools: Tools,
  onCode: (code: DeviceCode) => void,
  signal: AbortSignal,
): Promise<Login> {
  return told(provider, async () => {
    const configuration = await discovered(provider, tools)
    const { scopes_supported: known = [] } = configuration.serverMetadata()
    // With it a login outlives its first token, and nobody has to log in every hour.
    const scopes = new Set([
      ...['openid', ...provider.scopes],
      ...(known.includes('offline_access') ? ['offline_access'] : []),
    ])
    const device = await initiateDeviceAuthorization(configuration, {
      scope: [...scopes].join(' '),
    })
    onCode({
      url: device.verification_uri,
      code: device.user_code,
      complete: device.verification_uri_complete,
    })
    const limit = AbortSignal.timeout(device.expires_in * 1000)
    let tokens: Tokens
    try {
      tokens = await pollDeviceAuthorizationGrant(configuration, device, undefined, {
        signal: AbortSignal.any([signal, limit]),
      })
    } catch (error) {
      if (signal.aborted) throw refused('the login was broken off', error)
      if (limit.aborted) throw refused(late, error)
      throw error
    }
    return loginOf(provider, tokens, tools.clock, undefined)
  })
}

/** undefined: the provider says that the login is over. */
export async function refresh(login: Login, tools: Tools): Promise<Login | undefined> {
  const { refreshToken } = login
  if (refreshToken === undefined) return undefined
  return told(login, async () => {
    const configuration = await discovered(login, tools)
    try {
      const tokens = await refreshTokenGrant(configuration, refreshToken.reveal())
      return loginOf(login, tokens, tools.clock, refreshToken)
    } catch (error) {
      if (error instanceof ResponseBodyError && error.error === 'invalid_grant') return undefined
      throw error
    }
  })
}

/** Tells the provider that the login is not used any more. */
export async function giveBack(login: Login, tools: Tools): Promise<void> {
  const { refreshToken } = login
  if (refreshToken === undefined) return
  await told(login, async () => {
    const configuration = await discovered(login, tools)
    if (configuration.serverMetadata().revocation_endpoint === undefined) return
    await tokenRevocation(configuration, refreshToken.reveal(), {
      token_type_hint: 'refresh_token',
    })
  })
}

async function discovered({ issuer, clientId }: Provider, tools: Tools): Promise<Configuration> {
  const url = new URL(issuer)
  return discovery(url, clientId, undefined, None(), {
    // A provider on this machine is one for trying things out; any other is spoken to by https.
    execute: isLoopback(url.hostname) ? [allowInsecureRequests] : [],
    timeout: limitSeconds,
    [customFetch]: (resource, { body, ...options }) =>
      tools.fetch(resource, { ...options, ...(body === undefined ? {} : { body }) }),
  })
}

interface Tokens {
  readonly access_token: string
  readonly id_token?: string
  readonly refresh_token?: string
  readonly expires_in?: number
}

function loginOf(
  { issuer, clientId }: Provider,
  tokens: Tokens,
  clock: Clock,
  before: Secret | undefined,
): Login {
  const { access_token, id_token, refresh_token, expires_in } = tokens
  // An opaque access token says nothing to anybody but the provider; the ID token says who it is.
  const bearer = isJwt(access_token) ? access_token : (id_token ?? access_token)
  return {
    ...{ issuer, clientId },
    bearer: new Secret(bearer),
    expiresAt: clock.now() + (expires_in ?? 300) * 1000,
    refreshToken: refresh_token === undefined ? before : new Secret(refresh_token),
  }
}

function isJwt(token: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)
}

/** Puts what goes wrong at the provider into a sentence. Its answers hold no secrets in these fields. */
async function told<T>({ issuer }: Provider, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Failure) throw error
    if (error instanceof ResponseBodyError) {
      const message =
        refusals.get(error.error) ?? `the identity provider ${issuer} refused the login`
      throw refused(message, error, error.error_description ?? error.error)
    }
    // fetch hides what happened one step below.
    const shown = error instanceof Error && error.cause instanceof Error ? error.cause : error
    throw new Failure(
      'cannot_connect_now',
      {
        message: `the identity provider ${issuer} cannot be asked`,
        detail: shown instanceof Error ? shown.message : String(shown),
        hint: 'Try again; where it stays so, tell those who run the server.',
      },
      { cause: error },
    )
  }
}

const late = 'nobody entered the code in time'
const refusals: ReadonlyMap<string, string> = new Map([
  ['access_denied', 'the login was refused at the identity provider'],
  ['expired_token', late],
])

function refused(message: string, cause: unknown, detail?: string): Failure {
  return new Failure(
    'unauthenticated',
    { message, ...(detail === undefined ? {} : { detail }), hint: 'Log in again.' },
    { cause },
  )
}
