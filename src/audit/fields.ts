// A line of the journal as the object that it should be, for readers that trust no line. Ignorant of types.

export type Fields = Readonly<Record<string, unknown>>

/** {} where the line is no JSON object. */
export function fieldsOf(line: Buffer): Fields {
  try {
    const value: unknown = JSON.parse(line.toString())
    return isObject(value) ? value : {}
  } catch {
    return {}
  }
}

export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null
}
