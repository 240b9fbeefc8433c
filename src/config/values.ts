// The small values of a configuration and how they are written: mappings, durations, sizes, networks,
// names, secrets. Ignorant of where in the file they stand.

import { isIP } from 'node:net'
import { z } from 'zod'
import { isLoopback } from '../loopback.ts'
import { Secret } from '../secret.ts'

const durationUnits: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
])

const sizeUnits: ReadonlyMap<string, number> = new Map([
  ['B', 1],
  ['KiB', 1024],
  ['MiB', 1024 ** 2],
  ['GiB', 1024 ** 3],
])

export const mapping = 'expected a mapping'
export const list = 'expected a list'

/** A mapping with exactly these keys; one that is unknown is a typing error that would be obeyed by nobody. */
export function keys<Shape extends z.ZodRawShape>(shape: Shape, expected = mapping) {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? undefined : expected),
  })
}

/** `10s`, `1h30m`: milliseconds. A limit is part of the type: an endless wait is a mistake. */
export function duration(least: string, most: string) {
  const message = `expected a duration from ${least} to ${most}, like ${least}`
  return quantity(durationUnits, least, most, message)
}

/** `64KiB`, `1MiB`: bytes. */
export function size(least: string, most: string) {
  return quantity(sizeUnits, least, most, `expected a size from ${least} to ${most}, like ${least}`)
}

function quantity(
  units: ReadonlyMap<string, number>,
  least: string,
  most: string,
  message: string,
) {
  return z.string(message).transform((text, context) => {
    const value = sum(text, units)
    if (value >= sum(least, units) && value <= sum(most, units)) return value
    context.addIssue(message)
    return z.NEVER
  })
}

/** NaN for what is not a list of numbers with known units. */
function sum(text: string, units: ReadonlyMap<string, number>): number {
  if (!/^(\d{1,9}[A-Za-z]{1,3})+$/.test(text)) return Number.NaN
  let total = 0
  for (const [, number, unit] of text.matchAll(/(\d+)([A-Za-z]+)/g)) {
    total += Number(number) * (units.get(unit ?? '') ?? Number.NaN)
  }
  return total
}

/** A whole number between two others. */
export function whole(least: number, most: number) {
  const message = `expected a number between ${least} and ${most}`
  return z.int(message).min(least, message).max(most, message)
}

/** One, or a list of at least one: a list in either case. */
export function oneOrMore<One extends z.ZodType>(one: One) {
  return z
    .unknown()
    .transform((value): unknown => (Array.isArray(value) ? value : [value]))
    .refine((value) => !Array.isArray(value) || value.length > 0, {
      error: 'expected at least one',
      abort: true,
    })
    .pipe(z.tuple([one], one))
}

export const port = whole(1, 65_535)

export const text = z.string('expected a text').min(1, 'expected a text that is not empty')

/** Of targets and roles: it is typed in connection lines and shell commands. */
export const name = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_.-]{0,62}$/, 'expected a name of letters, digits, and _ . -')

/** A server name as TLS clients send it (SNI): no address, no port, no final dot. */
export const hostName = z
  .string()
  .regex(
    /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?([.][a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*$/,
    'expected a host name in lower case, like shop.db.example',
  )

/** `192.0.2.0/24`, `::1/128`, or a single address. IPv4 is written as IPv4: `::ffff:192.0.2.0/24` could mean two things. */
export const network = z.string('expected a network').refine(isNetwork, {
  error: 'expected a network like 192.0.2.0/24 or ::1/128',
})

function isNetwork(value: string): boolean {
  const [address = '', prefix, ...more] = value.split('/')
  const family = isIP(address)
  if (family === 0 || more.length > 0 || /^::ffff:/i.test(address)) return false
  if (prefix === undefined) return true
  return /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128)
}

/** `db.internal`, `db.internal:5433`, `[2001:db8::1]:5433`: a host, and a port where one is given. */
export const hostAndPort = z.string('expected a host').transform((value, context) => {
  const bare = isIP(value) === 6 ? value : undefined
  const parts = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/[\],]+))(?::(\d{1,5}))?$/.exec(value)
  const host = bare ?? parts?.[1] ?? parts?.[2]
  const number = parts?.[3] === undefined ? undefined : Number(parts[3])
  if (host !== undefined && (number === undefined || (number >= 1 && number <= 65_535))) {
    return { host, port: number }
  }
  context.addIssue('expected a host like db.internal, db.internal:5433 or [2001:db8::1]:5433')
  return z.NEVER
})

/** A host whose port is written elsewhere. */
export const host = text.refine((value) => isIP(value) === 6 || !/[\s:/[\],]/.test(value), {
  error: 'expected a host without a port; that one is written as port',
})

/** The networks of this machine. */
export const loopback = ['127.0.0.0/8', '::1/128']

/**
 * A URL without user, query and fragment. By http to this machine only: keys and tokens go there, and what is
 * read there is believed.
 */
export const webAddress = z.string('expected a URL').refine(isWebAddress, {
  error: 'expected a URL like https://id.example/realms/main; http to this machine only',
})

function isWebAddress(value: string): boolean {
  if (!/^https?:\/\/[^/?#@\s]+(\/[^?#\s]*)?$/.test(value) || !URL.canParse(value)) return false
  const { protocol, hostname } = new URL(value)
  return protocol === 'https:' || isLoopback(hostname)
}

/** What a configuration reads beside its own file. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The text of a file; a relative path starts at the configuration's directory. */
  readonly readFile: (path: string) => string
}

/** The path of a file, which is read. */
export function fileText({ readFile }: Surroundings) {
  return text.transform((path, context) => {
    try {
      return readFile(path)
    } catch (error) {
      context.addIssue(unreadable(path, error))
      return z.NEVER
    }
  })
}

function unreadable(path: string, error: unknown): string {
  const why = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''
  return `the file ${path} cannot be read${why}`
}

/** Written out, or `{ env: NAME }`, or `{ file: PATH }`. An empty one is a mistake, not a secret. */
export function secret({ env, readFile }: Surroundings) {
  const message = 'expected a secret: a text, { env: NAME } or { file: PATH }'
  const source = z.union(
    [
      z.string(),
      z.strictObject({ env: z.string().min(1) }),
      z.strictObject({ file: z.string().min(1) }),
    ],
    message,
  )
  return source.transform((from, context) => {
    const [value, trouble] = reveal(from)
    if (value !== undefined && value !== '') return new Secret(value)
    context.addIssue(trouble)
    return z.NEVER
  })

  function reveal(from: z.output<typeof source>): [string | undefined, string] {
    if (typeof from === 'string') return [from, 'the secret is empty']
    if ('env' in from) return [env[from.env], `the environment variable ${from.env} is not set`]
    try {
      // Editors end a file with a line break; no secret does.
      return [readFile(from.file).replace(/\r?\n$/, ''), `the file ${from.file} is empty`]
    } catch (error) {
      return [undefined, unreadable(from.file, error)]
    }
  }
}
