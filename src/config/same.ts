// Whether two values of a configuration say the same, at whatever depth: what has not changed goes on as it
// is when the file is read again. Ignorant of what the values are for.

/** A secret or a key: nothing of it is to be seen from outside, and it says itself what it is equal to. */
export interface Closed {
  equals(other: unknown): boolean
}

export function isClosed(value: unknown): value is Closed {
  return (
    typeof value === 'object' &&
    value !== null &&
    'equals' in value &&
    typeof value.equals === 'function'
  )
}

/** Anything that it does not know is another value: better made anew than taken for what it was. */
export function same(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true
  if (isClosed(one)) return isClosed(other) && one.equals(other)
  if (Array.isArray(one)) {
    return (
      Array.isArray(other) &&
      one.length === other.length &&
      one.every((item, at) => same(item, other[at]))
    )
  }
  if (one instanceof Map) {
    return (
      other instanceof Map &&
      one.size === other.size &&
      // In the same order: that of roles is their order of power.
      same([...one], [...other])
    )
  }
  return isPlain(one) && isPlain(other) && sameFields(one, other)
}

/** A mapping of the configuration, and not an object of some class. */
export function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function sameFields(
  one: Readonly<Record<string, unknown>>,
  other: Readonly<Record<string, unknown>>,
): boolean {
  const names = new Set([...Object.keys(one), ...Object.keys(other)])
  return [...names].every((name) => same(one[name], other[name]))
}
