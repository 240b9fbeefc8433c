// An identity provider as the device authorization flow meets it (RFC 8628, RFC 8414), without a socket:
// codes, refresh tokens that are good for one use, and giving them back. Tokens are made up.

import { json } from './control-plane.ts'

export const issuer = 'https://idp.test'

export class DeviceProvider {
  /** What was sent to each endpoint. */
  readonly asked: { readonly path: string; readonly form: URLSearchParams }[] = []
  /** How often a person has not yet typed the code when it is looked for. */
  patience = 1
  refusal: string | undefined
  expiresIn = 600
  /** Whether access tokens are JWTs. */
  jwts = true
  #refreshToken = 'refresh-1'
  #issued = 0

  /** undefined: that is not for the provider. */
  answer(url: URL, body: unknown): Response | undefined {
    if (url.origin !== issuer) return undefined
    const form = new URLSearchParams(String(body))
    this.asked.push({ path: url.pathname, form })
    switch (url.pathname) {
      case '/.well-known/openid-configuration':
        return json(200, {
          ...{ issuer, token_endpoint: `${issuer}/token`, revocation_endpoint: `${issuer}/revoke` },
          device_authorization_endpoint: `${issuer}/device`,
          scopes_supported: ['openid', 'offline_access', 'groups'],
        })
      case '/device':
        return json(200, {
          ...{ device_code: 'device-1', user_code: 'WDJB-MJHT', expires_in: 600, interval: 0.01 },
          verification_uri: `${issuer}/activate`,
        })
      case '/token':
        return this.#token(form)
      case '/revoke':
        return new Response(null, { status: 200 })
      default:
        return new Response(null, { status: 404 })
    }
  }

  #token(form: URLSearchParams): Response {
    if (form.get('grant_type') === 'refresh_token') {
      if (form.get('refresh_token') !== this.#refreshToken) {
        return json(400, { error: 'invalid_grant', error_description: 'used before' })
      }
    } else {
      if (this.patience-- > 0) return json(400, { error: 'authorization_pending' })
      if (this.refusal !== undefined) return json(400, { error: this.refusal })
    }
    const number = ++this.#issued
    this.#refreshToken = `refresh-${number}`
    return json(200, {
      access_token: this.jwts ? `head.body-${number}.signature` : 'opaque',
      ...{ token_type: 'bearer', expires_in: this.expiresIn, refresh_token: this.#refreshToken },
    })
  }
}
