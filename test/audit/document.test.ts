// docs/audit.md and the schema say the same: no type and no field that is written is undocumented, and none is
// invented. That what is written fits the schema, the integration tests see to.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { eventTypes, readSchema } from '../support/journal-schema.ts'

interface Schema {
  readonly $ref?: string
  readonly description?: string
  readonly allOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
}

const schema = readSchema()
const defs = schema['$defs'] as Readonly<Record<string, Schema>>
const document = readFileSync(
  fileURLToPath(new URL('../../docs/audit.md', import.meta.url)),
  'utf8',
)

/** Rows of each section's tables, as cells; sections by their anchors. */
const sections = new Map(
  document
    .split(/^#+ /m)
    .slice(1)
    .map((section) => [
      anchor(section.slice(0, section.indexOf('\n'))),
      section
        .split('\n')
        .filter((line) => line.startsWith('| ') && !line.startsWith('| ---'))
        .map((line) => line.split('|').map((cell) => cell.trim())),
    ]),
)

interface Described {
  readonly section: string
  readonly fields: readonly string[]
  /** Those that the same section explains. */
  readonly own: readonly string[]
}

/** Types of the document, by the tables `| Type | When | Fields |`. */
const described = new Map<string, Described>()
for (const [section, rows] of sections) {
  const start = rows.findIndex(([, first]) => first === 'Type')
  if (start === -1) continue
  for (const [, types = '', , fields = ''] of rows.slice(start + 1)) {
    if (types === 'Field') break
    const own = quoted(fields)
    const linked = [...fields.matchAll(/\]\(#([a-z-]+)\)/g)].flatMap(([, to = '']) =>
      explained(to).map(({ name }) => name),
    )
    for (const type of quoted(types)) {
      described.set(type, { section, fields: [...own, ...linked], own })
    }
  }
}

describe('docs/audit.md', () => {
  it('names the types that there are', () => {
    expect([...described.keys()].sort()).toEqual([...eventTypes(schema)].sort())
  })

  it('names the fields of every line', () => {
    const line = explained('a-line').map(({ name }) => name)
    expect(line.sort()).toEqual(Object.keys(defs['line']?.properties ?? {}).sort())
  })

  it.each(eventTypes(schema))('names the fields that %s has, and no other', (type) => {
    const line = Object.keys(defs['line']?.properties ?? {})
    const fields = Object.keys(propertiesOf(defs[type])).filter((name) => !line.includes(name))
    expect([...(described.get(type)?.fields ?? [])].sort()).toEqual(fields.sort())
  })

  it('explains each field in the section of its type, and what is inside of it', () => {
    for (const [type, { section, own }] of described) {
      const properties = propertiesOf(defs[type])
      for (const name of own) {
        const row = explained(section).find((each) => each.name === name)
        expect(row, `${name} of ${type}`).toBeDefined()
        const inside = Object.keys(insideOf(properties[name]))
        expect(quoted(row?.row ?? ''), `inside ${name} of ${type}`).toEqual(
          expect.arrayContaining(inside),
        )
      }
    }
  })

  it('explains nothing that no type has', () => {
    for (const section of new Set([...described.values()].map((each) => each.section))) {
      const used = [...described.values()].filter((each) => each.section === section)
      const names = used.flatMap(({ own }) => own)
      for (const { name } of explained(section))
        expect(names, `${section}: ${name}`).toContain(name)
    }
  })
})

describe('the schema', () => {
  it('says of every type and field what it means', () => {
    for (const [name, part] of Object.entries(defs)) {
      if (name === 'time' || name === 'sha256') continue
      expect(part.description, name).toMatch(/\S/)
      for (const [field, { description }] of Object.entries(part.properties ?? {})) {
        if (field !== 'type') expect(description, `${field} of ${name}`).toMatch(/\S/)
      }
    }
  })
})

/** Of the tables `| Field | Meaning |` of a section, one for each name in the first cell. */
function explained(section: string): readonly { readonly name: string; readonly row: string }[] {
  const rows = sections.get(section) ?? []
  const start = rows.findIndex(([, first]) => first === 'Field')
  if (start === -1) return []
  return rows
    .slice(start + 1)
    .flatMap((cells) => quoted(cells[1] ?? '').map((name) => ({ name, row: cells.join('|') })))
}

function propertiesOf(part: Schema | undefined): Readonly<Record<string, Schema>> {
  if (part === undefined) return {}
  const inherited = (part.allOf ?? []).map((each) => propertiesOf(resolved(each)))
  return Object.fromEntries(
    [...inherited, part.properties ?? {}].flatMap((properties) => Object.entries(properties)),
  )
}

/** Of an object, or of the objects in a list. */
function insideOf(part: Schema | undefined): Readonly<Record<string, Schema>> {
  if (part === undefined) return {}
  const whole = resolved(part)
  const list = whole.items ?? whole.oneOf?.find((each) => each.items !== undefined)?.items
  return propertiesOf(list ?? whole)
}

function resolved(part: Schema): Schema {
  return part.$ref === undefined ? part : (defs[part.$ref.replace('#/$defs/', '')] ?? {})
}

function quoted(text: string): readonly string[] {
  return [...text.matchAll(/`([A-Za-z0-9.]+)`/g)].map(([, name = '']) => name)
}

function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^a-z ]/g, '')
    .trim()
    .replaceAll(' ', '-')
}
