// The API's document as a page to read: plain HTML with its style inside, no script, nothing from elsewhere.
// Every text of the document is escaped, wherever it comes from. Ignorant of what the operations do.

import { z } from '@hono/zod-openapi'

/** As much of OpenAPI 3.1 as is shown. */
const content = z.record(z.string(), z.object({ schema: z.unknown() }))
const operation = z.object({
  operationId: z.string(),
  summary: z.string().default(''),
  description: z.string().default(''),
  tags: z.array(z.string()).default([]),
  parameters: z
    .array(
      z.object({
        name: z.string(),
        in: z.string(),
        required: z.boolean().default(false),
        description: z.string().default(''),
        schema: z.unknown(),
      }),
    )
    .default([]),
  requestBody: z.object({ content }).optional(),
  responses: z.record(
    z.string(),
    z.object({ description: z.string(), content: content.optional() }),
  ),
})
const shown = z.object({
  info: z.object({ title: z.string(), version: z.string(), description: z.string().default('') }),
  tags: z.array(z.object({ name: z.string(), description: z.string().default('') })).default([]),
  paths: z.record(z.string(), z.record(z.string(), operation)),
  components: z.object({ schemas: z.record(z.string(), z.unknown()) }),
  servers: z.array(z.object({ url: z.string() })),
})

type Operation = z.output<typeof operation>

/** `address`: where the document itself is to be had. */
export function renderPage(document: unknown, address: string): string {
  const { info, tags, paths, components, servers } = shown.parse(document)
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, told]) => ({ path, method, told })),
  )
  const base = servers[0]?.url ?? ''
  const chapters = tags.map(({ name, description }) => {
    const inside = operations
      .filter(({ told }) => told.tags.includes(name))
      .map(({ path, method, told }) => section(`${method.toUpperCase()} ${base}${path}`, told))
    return `<h2>${escaped(name)}</h2><p>${escaped(description)}</p>${inside.join('')}`
  })
  const schemas = Object.entries(components.schemas).map(
    ([name, schema]) =>
      `<details id="schema-${escaped(name)}"><summary>${escaped(name)}</summary>${code(schema)}</details>`,
  )
  return (
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escaped(info.title)} API</title>` +
    `<meta name="viewport" content="width=device-width"><style>${style}</style></head><body>` +
    `<h1>${escaped(info.title)} API <small>${escaped(info.version)}</small></h1>` +
    `<p>${escaped(info.description)}</p>` +
    `<p>For programs: <a href="${escaped(address)}">${escaped(address)}</a> (OpenAPI 3.1).</p>` +
    `${chapters.join('')}<h2>schemas</h2>${schemas.join('')}</body></html>`
  )
}

function section(address: string, told: Operation): string {
  const parameters = told.parameters.map(
    ({ name, in: where, required, description, schema }) =>
      `<tr><td><code>${escaped(name)}</code></td><td>${escaped(where)}${required ? ', required' : ''}</td>` +
      `<td>${escaped(description)} <code>${escaped(brief(schema))}</code></td></tr>`,
  )
  const body = told.requestBody && `<p>Body: ${linksTo(told.requestBody.content)}</p>`
  const responses = Object.entries(told.responses).map(
    ([status, { description, content }]) =>
      `<tr><td>${escaped(status)}</td><td>${escaped(description)}</td>` +
      `<td>${content === undefined ? '' : linksTo(content)}</td></tr>`,
  )
  return (
    `<details id="${escaped(told.operationId)}"><summary><code>${escaped(address)}</code> ` +
    `${escaped(told.summary)}</summary><p>${escaped(told.description)}</p>` +
    `<table>${parameters.join('')}</table>${body ?? ''}<table>${responses.join('')}</table></details>`
  )
}

/** To the schemas that are named, by media type. */
function linksTo(content: Readonly<Record<string, { readonly schema: unknown }>>): string {
  return Object.entries(content)
    .map(([type, { schema }]) => {
      const name = /"\$ref":"#\/components\/schemas\/(\w+)"/.exec(JSON.stringify(schema))?.[1]
      const what = name === undefined ? brief(schema) : name
      const link = name === undefined ? escaped(what) : `<a href="#schema-${name}">${name}</a>`
      return `${link} <small>${escaped(type)}</small>`
    })
    .join(', ')
}

function brief(schema: unknown): string {
  return JSON.stringify(schema)
}

function code(schema: unknown): string {
  return `<pre>${escaped(JSON.stringify(schema, undefined, 2))}</pre>`
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

const style =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;' +
  'background:#fff}code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f4f4f4;padding:1rem;' +
  'overflow:auto}details{border-top:1px solid #ddd;padding:.4rem 0}summary{cursor:pointer}' +
  'td{padding:.2rem .8rem .2rem 0;vertical-align:top;overflow-wrap:anywhere}small{color:#666}' +
  '@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#242424}a{color:#8bf}}'
