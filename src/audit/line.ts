// A line of the journal for readers that trust none: what each begins with, found at a glance, or all of it as
// an object. Ignorant of types, and of whether a line is sealed (chain.ts).

/** What every line begins with, behind its number. */
export interface LineHead {
  /** Undefined in a line of the first format. */
  readonly event: string | undefined
  /** RFC 3339. */
  readonly time: string
  readonly type: string
  /** The offset of what follows the type. */
  readonly end: number
}

/** No head is longer. */
const headBytes = 256
const head =
  /^\{"seq":\d{1,15},(?:"v":1,"event":"([^"\\]*)",)?"time":"([^"\\]*)","type":"([^"\\]*)"/

/** Undefined for what does not begin as a record does. */
export function readHead(line: Buffer): LineHead | undefined {
  const [all, event, time, type] = head.exec(line.toString('latin1', 0, headBytes)) ?? []
  if (all === undefined || time === undefined || type === undefined) return undefined
  return { event, time, type, end: all.length }
}

export type Fields = Readonly<Record<string, unknown>>

/** Undefined where the line is no JSON object. */
export function readFields(line: Buffer | string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(line.toString())
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** The same for who looks at fields one by one: what is no object has none. */
export function fieldsOf(line: Buffer | string): Fields {
  return readFields(line) ?? {}
}

export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
