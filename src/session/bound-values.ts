// What a Bind's values are, for the record of what it runs: decoded by the types that Parse gave or the
// server has told. Ignorant of records, and of what may be shown.

import { mostParameters, type Parameters, valueLimit } from '../audit/parameters-record.ts'
import { binaryText } from '../wire/binary-value.ts'
import { type BindValue, decodeBindValues } from '../wire/bind-values.ts'
import type { Frame } from './dispatch.ts'

/** Larger ones are not decoded to be cut; no number or date is near it. */
const decodable = 1024

export function boundValues({ bytes, start, end }: Frame, types: readonly number[]): Parameters {
  const bound = decodeBindValues(bytes, start, end, mostParameters)
  if (bound === undefined) return 'unread'
  return {
    count: bound.count,
    first: bound.values.map((value, at) => parameterOf(value, types[at] || undefined)),
  }
}

function parameterOf(
  { format, bytes, size }: BindValue,
  type: number | undefined,
): Extract<Parameters, object>['first'][number] {
  if (bytes === null) return { type, value: null, bytes: 0, cut: false }
  const whole = bytes.length === size
  // The beginning of a long value is text, or bytes, like any.
  const head = bytes.subarray(0, valueLimit + 4)
  const cut = head.length < size
  if (format === 0) return { type, value: head.toString('utf8'), bytes: size, cut }
  const known =
    format === 1 && type !== undefined && whole && size <= decodable
      ? binaryText(type, bytes)
      : undefined
  if (known !== undefined) return { type, value: known, bytes: size, cut: false }
  return { type, value: `\\x${head.toString('hex')}`, bytes: size, cut }
}
