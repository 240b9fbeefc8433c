// Upper limits of settings in a role's definition: `statement_timeout: 30s`, `work_mem: 64MB`. The
// session starts with them, and they can be lowered and never raised or switched off.
// How the server reads a number with a unit: guc.c, parse_int and convert_to_base_unit.

import type { SettingChange } from '../sql/facts.ts'

type Unit = 'ms' | 'kB'

/** Settings that can have a ceiling, with the unit of a bare number. */
const ceilingUnits: ReadonlyMap<string, Unit> = new Map([
  ['statement_timeout', 'ms'],
  ['lock_timeout', 'ms'],
  ['transaction_timeout', 'ms'],
  ['idle_in_transaction_session_timeout', 'ms'],
  ['idle_session_timeout', 'ms'],
  ['work_mem', 'kB'],
])

const factors: Readonly<Record<Unit, Readonly<Record<string, number>>>> = {
  ms: { us: 0.001, ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 },
  kB: { B: 1 / 1024, kB: 1, MB: 1024, GB: 1024 * 1024, TB: 1024 * 1024 * 1024 },
}

/** Why a ceiling cannot be used; undefined when it can. */
export function ceilingProblem(setting: string, value: string): string | undefined {
  const unit = ceilingUnits.get(setting)
  if (unit === undefined) {
    return `${setting} cannot have a limit; these can: ${[...ceilingUnits.keys()].join(', ')}`
  }
  return amount(value, unit) === undefined
    ? `the limit of ${setting} must be a number of at least one with a unit of ${Object.keys(factors[unit]).join(', ')}`
    : undefined
}

/** Whether the change leaves the setting at or below its ceiling. Going back goes to the start value. */
export function staysBelow(change: SettingChange, ceiling: string): boolean {
  if (change.kind !== 'set') return true
  const unit = ceilingUnits.get(change.name)
  const [value, ...rest] = change.values ?? []
  if (unit === undefined || value === undefined || rest.length > 0) return false
  const asked = amount(value, unit)
  const most = amount(ceiling, unit)
  return asked !== undefined && most !== undefined && asked <= most
}

/** The lowest of a setting's ceilings, which have no ceilingProblem. */
export function lowest(setting: string, ceilings: readonly string[]): string {
  const unit = ceilingUnits.get(setting) ?? 'ms'
  return ceilings.reduce((low, next) =>
    (amount(next, unit) ?? 0) < (amount(low, unit) ?? 0) ? next : low,
  )
}

/** Whether a setting has a limit where it had none before, or one that was above it. */
export function isLowered(
  setting: string,
  before: readonly string[] | undefined,
  now: readonly string[],
): boolean {
  const unit = ceilingUnits.get(setting) ?? 'ms'
  const most = (ceilings: readonly string[]): number =>
    Math.min(...ceilings.map((ceiling) => amount(ceiling, unit) ?? 0))
  return before === undefined || most(now) < most(before)
}

/** In the setting's base unit; undefined for what is no such amount and for zero, which means no limit. */
function amount(value: string, unit: Unit): number | undefined {
  const parts = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$/.exec(value)
  const factor = parts?.[2] === '' ? 1 : factors[unit][parts?.[2] ?? '']
  const result = Number(parts?.[1]) * (factor ?? Number.NaN)
  // What is less than one unit is rounded, perhaps to zero.
  return result >= 1 ? result : undefined
}
