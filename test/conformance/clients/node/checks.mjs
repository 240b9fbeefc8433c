// What the JavaScript clients share: where to connect, the lines to print, a limit for each check.
// Ignorant of every driver; they are loaded from the cache. The contract is in ../../README.md.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'

const place = (name) => process.env[`CONFORMANCE_${name}`]

export const load = createRequire(`${place('CACHE')}/node/package.json`)
export const tls = place('TLS') === 'on'

/** As node-postgres and postgres.js name it. */
export const address = {
  host: place('HOST'),
  port: Number(place('PORT')),
  database: place('DATABASE'),
  user: place('USER'),
  password: place('PASSWORD'),
  ssl: tls && { ca: readFileSync(place('CA'), 'utf8'), rejectUnauthorized: true },
}

export const rows = 100_000

/** Every kind of value that a driver decodes by itself, and text in which a byte is no character. */
export const simple = `select 1 as one, 2.50::numeric(10,2) as price, null::text as nothing,
  'ünï 😀' as text, true as yes, '2024-02-29'::date as day, array[1,null,3] as list,
  '\\x00ff'::bytea as bytes, 9007199254740993 as large, '{"a": [1]}'::jsonb as json`

export class Unsupported extends Error {}

/**
 * Runs `checks`, an object of functions that resolve to what was seen, one after another. `client` is
 * the package's name.
 */
export async function run(client, checks) {
  const manifest = `${place('CACHE')}/node/node_modules/${client}/package.json`
  const { version } = JSON.parse(readFileSync(manifest, 'utf8'))
  console.log(JSON.stringify({ client, version }))
  for (const [check, work] of Object.entries(checks)) {
    try {
      print(check, 'ok', await within(30_000, work()))
    } catch (error) {
      if (error instanceof Unsupported) print(check, 'unsupported', error.message)
      else {
        console.error(check, error)
        print(check, 'failed', String(error))
      }
    }
  }
  // Sessions that a failed check has left shall not hold the result back.
  process.exit(0)
}

function print(check, result, seen) {
  const detail = typeof seen === 'string' ? seen : JSON.stringify(seen)
  console.log(JSON.stringify({ check, result, detail }))
}

export async function within(ms, work) {
  const stop = new AbortController()
  const late = sleep(ms, undefined, { signal: stop.signal }).then(() => {
    throw new Error(`longer than ${ms / 1000} s`)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    stop.abort()
    late.catch(() => undefined)
  }
}

/** What a failure says, `fields` of it. */
export async function failure(work, fields) {
  try {
    await work
  } catch (error) {
    return fields.map((field) => error[field] ?? null)
  }
  throw new Error('an error was expected')
}

export function line(n) {
  return `line ${n} ünï \\ \t end`
}

/** Of many rows: how many, and what was in them. */
export function digest(texts) {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(text).update('\n')
  return `${texts.length} ${hash.digest('hex').slice(0, 16)}`
}
