// The API's own description: OpenAPI 3.1, made of the schemas that requests are checked with, so that the
// two cannot differ; and a page to read made of it. Ignorant of what the operations do.

import type { Api } from './context.ts'
import { renderPage } from './page.ts'

const basePath = '/api/v1'

export function addDocument(api: Api, version: string): void {
  api.openAPIRegistry.registerComponent('securitySchemes', 'oidc', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'An access token of the identity provider, as `pgwarden login` gets one.',
  })
  api.openAPIRegistry.registerComponent('securitySchemes', 'apiKey', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'pgk_<id>_<secret>',
    description: 'An API key, as `pgwarden key create` makes one.',
  })
  let made: { readonly text: string; readonly page: string } | undefined
  // Made when it is first asked for: all routes are known by then, and none is added later.
  const served = (): { readonly text: string; readonly page: string } => {
    if (made === undefined) {
      const document = documentOf(api, version)
      made = {
        text: JSON.stringify(document),
        page: renderPage(document, `${basePath}/openapi.json`),
      }
    }
    return made
  }
  api.get('/openapi.json', (c) =>
    c.body(served().text, 200, { 'content-type': 'application/json' }),
  )
  api.get('/docs', (c) =>
    c.html(served().page, 200, {
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'",
    }),
  )
}

function documentOf(api: Api, version: string) {
  return api.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'pgwarden',
      version,
      description:
        'Access to PostgreSQL: requested, approved, granted for a time, revoked. JSON in camelCase, ' +
        'times as RFC 3339 writes them, durations in whole seconds; what is not there is absent, not null.',
    },
    servers: [{ url: basePath }],
    security: [{ oidc: [] }, { apiKey: [] }],
    tags: [
      { name: 'about', description: 'Who you are, and what you may ask for.' },
      { name: 'requests', description: 'Asking for access, and deciding on it.' },
      { name: 'grants', description: 'Access that was granted, and its tokens.' },
      { name: 'sessions', description: 'What is open now.' },
      { name: 'audit', description: 'What was done, for auditors.' },
    ],
  })
}
