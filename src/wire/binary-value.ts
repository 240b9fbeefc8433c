// Values in PostgreSQL's binary format, as people read them: the types that drivers send so. What is
// not known here, or is not what its type says, is for the caller to show as bytes.
// pg_type.dat (OIDs never change); the types' recv functions in src/backend/utils/adt.

/** Its text; undefined where the type is not known, or the bytes are none of it. */
export function binaryText(type: number, bytes: Buffer): string | undefined {
  return readers.get(type)?.(bytes)
}

type Read = (bytes: Buffer) => string | undefined

/** A value of exactly so many bytes. */
function fixed(length: number, read: Read): Read {
  return (bytes) => (bytes.length === length ? read(bytes) : undefined)
}

const text: Read = (bytes) => bytes.toString('utf8')
const hex: Read = (bytes) => `\\x${bytes.toString('hex')}`

const readers: ReadonlyMap<number, Read> = new Map([
  [16, fixed(1, (bytes) => (bytes[0] === 0 ? 'false' : 'true'))],
  [17, hex],
  [18, text],
  [19, text],
  [20, fixed(8, (bytes) => String(bytes.readBigInt64BE()))],
  [21, fixed(2, (bytes) => String(bytes.readInt16BE()))],
  [23, fixed(4, (bytes) => String(bytes.readInt32BE()))],
  [25, text],
  [26, fixed(4, (bytes) => String(bytes.readUInt32BE()))],
  [114, text],
  [142, text],
  [700, fixed(4, (bytes) => String(bytes.readFloatBE()))],
  [701, fixed(8, (bytes) => String(bytes.readDoubleBE()))],
  [705, text],
  [1042, text],
  [1043, text],
  [1082, fixed(4, date)],
  [1083, fixed(8, (bytes) => timeOfDay(bytes.readBigInt64BE()))],
  [1114, fixed(8, (bytes) => timestamp(bytes, ''))],
  [1184, fixed(8, (bytes) => timestamp(bytes, 'Z'))],
  [1186, fixed(16, interval)],
  [1700, numeric],
  [2950, fixed(16, uuid)],
  // Its first byte is the version of the format.
  [3802, (bytes) => (bytes[0] === 1 ? bytes.toString('utf8', 1) : undefined)],
])

const dayMs = 86_400_000
const dayMicros = 86_400_000_000n
/** PostgreSQL counts from the year 2000. */
const epochMs = Date.UTC(2000, 0, 1)

function date(bytes: Buffer): string | undefined {
  const days = bytes.readInt32BE()
  if (days === 0x7fffffff) return 'infinity'
  if (days === -0x80000000) return '-infinity'
  return calendarDay(days)
}

/** Within the years that have four digits. */
function calendarDay(days: number): string | undefined {
  const day = new Date(epochMs + days * dayMs)
  const year = day.getUTCFullYear()
  return year >= 1 && year <= 9999 ? day.toISOString().slice(0, 10) : undefined
}

function timestamp(bytes: Buffer, zone: string): string | undefined {
  const micros = bytes.readBigInt64BE()
  if (micros === 0x7fffffffffffffffn) return 'infinity'
  if (micros === -0x8000000000000000n) return '-infinity'
  const inDay = ((micros % dayMicros) + dayMicros) % dayMicros
  const day = calendarDay(Number((micros - inDay) / dayMicros))
  return day && `${day}T${timeOfDay(inDay)}${zone}`
}

function timeOfDay(micros: bigint): string | undefined {
  if (micros < 0n || micros > dayMicros) return undefined
  const two = (value: bigint): string => String(value).padStart(2, '0')
  const seconds = micros / 1_000_000n
  const clock = `${two(seconds / 3600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}`
  const fraction = micros % 1_000_000n
  return fraction === 0n ? clock : `${clock}.${String(fraction).padStart(6, '0')}`
}

/** As ISO 8601 has it: `P1M2DT3.5S`. */
function interval(bytes: Buffer): string {
  const micros = bytes.readBigInt64BE()
  const size = micros < 0n ? -micros : micros
  const fraction = String(size % 1_000_000n)
    .padStart(6, '0')
    .replace(/0+$/, '')
  const seconds = `${micros < 0n ? '-' : ''}${size / 1_000_000n}${fraction && `.${fraction}`}`
  return `P${bytes.readInt32BE(12)}M${bytes.readInt32BE(8)}DT${seconds}S`
}

function uuid(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** In digits of base 10,000. Those that would write pages of zeros are nothing to read. */
const mostNumericGroups = 64

function numeric(bytes: Buffer): string | undefined {
  if (bytes.length < 8) return undefined
  const groups = bytes.readUInt16BE()
  const weight = bytes.readInt16BE(2)
  const sign = bytes.readUInt16BE(4)
  const scale = bytes.readUInt16BE(6)
  const special = new Map([
    [0xc000, 'NaN'],
    [0xd000, 'Infinity'],
    [0xf000, '-Infinity'],
  ]).get(sign)
  if (special !== undefined) return special
  if (bytes.length !== 8 + groups * 2 || (sign !== 0 && sign !== 0x4000)) return undefined
  if (Math.abs(weight) > mostNumericGroups || scale > mostNumericGroups * 4) return undefined
  const group = (at: number): string =>
    String(at >= 0 && at < groups ? bytes.readUInt16BE(8 + at * 2) : 0).padStart(4, '0')
  let whole = ''
  for (let at = 0; at <= weight; at++) whole += group(at)
  let fraction = ''
  for (let at = weight + 1; fraction.length < scale; at++) fraction += group(at)
  const digits = whole.replace(/^0+(?=.)/, '') || '0'
  const point = scale === 0 ? '' : `.${fraction.slice(0, scale)}`
  return `${sign === 0 ? '' : '-'}${digits}${point}`
}
