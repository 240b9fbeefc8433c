// The words of which the lines about records are made. What strangers wrote cannot act on a terminal.
// Ignorant of types of records.

import type { Fields } from '../audit/line.ts'
import { printable, type Style } from './terminal.ts'

export type Describe = (fields: Fields, style: Style) => string

/** A field for people; empty when it is missing. */
export function text(fields: Fields, name: string): string {
  const value = fields[name]
  return typeof value === 'string' ? printable(value) : ''
}

export function counted(fields: Fields, name: string, unit = name): string {
  const value = fields[name]
  return typeof value === 'number' ? `${value} ${unit}` : ''
}

export function listed(fields: Fields, name: string): string {
  const value = fields[name]
  return Array.isArray(value) ? printable(value.map(String).join(', ')) : ''
}

/** Whose grant it is, and what it is for. */
export function who(fields: Fields, style: Style): string {
  const name = style('bold', text(fields, 'principal'))
  return `${name} ${style('cyan', `${text(fields, 'role')}@${text(fields, 'target')}`)}`
}

/** Who did it. */
export function by(fields: Fields, style: Style): string {
  return style('bold', text(fields, 'by'))
}

/** `, because: ...` where there is a reason. */
export function because(fields: Fields, name = 'reason'): string {
  const reason = text(fields, name)
  return reason === '' ? '' : `, because: ${reason}`
}
