// What the schemas of the API are made of. Text is one line without control characters and whole: NUL has
// no place in PostgreSQL's text, half a surrogate pair none in UTF-8, and what turns the direction of reading
// none before the eyes of an approver. Objects are strict: a misspelt
// name must not be taken for something that was left out.

import { z } from '@hono/zod-openapi'
import { problemCodes } from '../problem.ts'

/** Flags of an expression have no place in a document: it gets one that does without. */
export function text(longest: number) {
  return z
    .string()
    .trim()
    .min(1)
    .max(longest)
    .refine(
      (given) => !/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/u.test(given),
      'expected one line of text without control characters',
    )
    .openapi({
      pattern:
        '^[^\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]*$',
    })
}

export const reason = text(1000).openapi({ example: 'wrong total in order 1234' })
export const name = text(128)
/** Of a request, a grant or a token. */
export const id = z
  .string()
  .regex(/^[a-z2-7]{16}$/, 'expected an id: 16 lower-case letters and digits')
  .openapi({ example: 'k3jx7qp2mz5vwa4t' })

export const idInPath = z.object({ id })

/** RFC 3339; in answers always in UTC. */
export const time = z.iso.datetime().openapi({ example: '2030-01-02T03:04:05.678Z' })
export const timeGiven = z.iso
  .datetime({ offset: true, error: 'expected a time like 2030-01-02T03:04:05Z' })
  .transform((written) => Date.parse(written))
  .openapi({ type: 'string', format: 'date-time', example: '2030-01-02T03:04:05Z' })

export const durationSeconds = z
  .int()
  .min(1)
  .max(30 * 24 * 3600, 'expected at most 2592000 seconds, which are 30 days')
  .openapi({ example: 7200 })

/** A number as a query has it. */
export function wholeNumber(least: number, most: number, otherwise: number) {
  return z
    .string()
    .regex(/^\d{1,4}$/, 'expected a number')
    .transform(Number)
    .pipe(z.number().min(least).max(most))
    .default(otherwise)
    .openapi({ type: 'integer', minimum: least, maximum: most, default: otherwise })
}

export const page = {
  limit: wholeNumber(1, 200, 50),
  cursor: z
    .string()
    .regex(/^[\x21-\x7e]{1,512}$/, 'expected what the page before said as next')
    .optional()
    .openapi({ description: '`next` of the page before.' }),
}

export const nothingInQuery = z.strictObject({})

/** On what changes something. */
export const idempotencyKey = z
  .string()
  .regex(/^[\x21-\x7e]{1,128}$/, 'expected 1 to 128 printable characters without spaces')
export const onPost = z.object({
  'idempotency-key': idempotencyKey.optional().openapi({
    description:
      'Repeated within 24 h with the same content it is answered as before and does nothing again.',
    example: '6f1b7c1e-0a3e-4a53-9f5e-0f6c7d0c2a11',
  }),
})
const etag = z.string().max(256)
const ifMatch = {
  'if-match': etag.optional().openapi({ description: 'Only if the object still has this ETag.' }),
}
export const onChange = z.object(ifMatch)
export const onPostToObject = onPost.extend(ifMatch)
export const onGetObject = z.object({
  'if-none-match': etag.optional().openapi({ description: '304 if the object has this ETag.' }),
})

export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    items: z.array(item),
    next: z.string().optional().openapi({ description: 'The cursor of the next page.' }),
  })
}

export function json<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { 'application/json': { schema } } } as const
}

/** The same for a single object: it has an ETag. */
export function object<Schema extends z.ZodType>(description: string, schema: Schema) {
  const schemaOfTag = { type: 'string' } as const
  const headers = { etag: { description: 'Changes with the object.', schema: schemaOfTag } }
  return { ...json(description, schema), headers } as const
}

export function bodyOf<Schema extends z.ZodType>(schema: Schema) {
  return { required: true, content: { 'application/json': { schema } } } as const
}

const problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.enum(problemCodes),
    detail: z.string().optional(),
    hint: z.string().optional(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  })
  .openapi('Problem', {
    example: {
      type: 'urn:pgwarden:problem:conflict',
      code: 'conflict',
      status: 409,
      title: 'the request was withdrawn',
    },
  })

function refusal(description: string) {
  return { description, content: { 'application/problem+json': { schema: problem } } } as const
}

/** What any operation may answer in the place of what was asked. */
export const refusals = {
  400: refusal('Something in it cannot be used; `errors` says what.'),
  401: refusal('No credential, or none that is good.'),
  403: refusal('Not yours to do.'),
  404: refusal('There is none, or none that is yours to see.'),
  409: refusal('Somebody was first, or its state does not allow it.'),
  412: refusal('It has changed since you saw it.'),
  413: refusal('A body of more than 64 KiB.'),
  415: refusal('A body that is not said to be JSON.'),
  422: refusal(
    'The idempotency key was used for something else, or the configuration cannot be used.',
  ),
  429: refusal('Too many; Retry-After says when to come back.'),
  500: refusal('A defect of pgwarden.'),
  503: refusal('The store or the journal cannot be used now, or did not answer in time.'),
} as const
export const notModified = { description: 'It still has the ETag that you know.' } as const
