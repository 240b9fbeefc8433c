// What people type behind an option, read strictly: ports, counts, durations. What is wrong comes
// back as commander's usage error, with a sentence.

import { InvalidArgumentError } from 'commander'

export function parsePort(text: string): number {
  const port = Number(text)
  if (/^\d{1,5}$/.test(text) && port >= 1 && port <= 65_535) return port
  throw new InvalidArgumentError('A port is a number from 1 to 65535.')
}

export function parseCount(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a whole number, zero or more.')
}

export function parsePositive(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a whole number, one or more.')
}

const units: ReadonlyMap<string, number> = new Map([
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
])

/** `90m`, `8h`, `1h30m`: milliseconds. */
export function parseDuration(text: string): number {
  if (!/^(\d{1,6}[smhd])+$/.test(text)) throw invalidDuration()
  let sum = 0
  for (const [, number, unit] of text.matchAll(/(\d+)([smhd])/g)) {
    sum += Number(number) * (units.get(unit ?? '') ?? Number.NaN)
  }
  if (!(sum > 0)) throw invalidDuration()
  return sum
}

function invalidDuration(): InvalidArgumentError {
  return new InvalidArgumentError('A duration is written like 30m, 8h, 1h30m or 2d.')
}

/** One of an option that can be given more than once. */
export function oneMore(text: string, before: readonly string[]): readonly string[] {
  return [...before, text]
}

/** `uid=42`, as often as there are claims. */
export function addClaim(text: string, claims: Readonly<Record<string, string>> = {}) {
  const [, name, value] = /^([A-Za-z_][\w.-]{0,63})=(\P{Cc}{1,1024})$/u.exec(text) ?? []
  if (name !== undefined && value !== undefined) return { ...claims, [name]: value }
  throw new InvalidArgumentError('A claim is written like uid=42.')
}
