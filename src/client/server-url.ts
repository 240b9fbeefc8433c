// The URL of a control plane: whom a credential is sent to, so it is read strictly. Plain http is for
// this machine alone: anywhere else the credential could be read on the way.

import { Failure } from '../errors.ts'
import { isLoopback } from '../loopback.ts'

/** Throws a Failure when it cannot be used. */
export function serverUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw unusable(`"${text}" is no URL of a server`, 'Write it like https://pgwarden.example.com.')
  }
  if (url.username !== '' || url.password !== '') {
    throw unusable('the URL of a server holds no user name and no password', undefined)
  }
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw unusable(
      `${url.origin} would be spoken to in the clear`,
      'Use https://; plain http is for a pgwarden on this machine only.',
    )
  }
  return new URL(url.pathname.endsWith('/') ? url.pathname : `${url.pathname}/`, url.origin)
}

function unusable(message: string, hint: string | undefined): Failure {
  return new Failure('invalid_parameter', { message, ...(hint === undefined ? {} : { hint }) })
}
