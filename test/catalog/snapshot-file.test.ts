import { describe, expect, it } from 'vitest'
import { parseSnapshot, snapshotText } from '../../src/catalog/snapshot-file.ts'
import { Failure } from '../../src/errors.ts'
import type { CatalogSnapshot } from '../../src/policy/catalog.ts'

const snapshot: CatalogSnapshot = {
  format: 1,
  serverVersion: 180_000,
  functions: [
    {
      schema: 'public',
      name: 'f',
      volatile: true,
      leastArguments: 1,
      mostArguments: undefined,
      extension: undefined,
    },
    {
      schema: 'public',
      name: 'g',
      volatile: false,
      leastArguments: 0,
      mostArguments: 2,
      extension: 'hstore',
    },
  ],
  operators: [{ schema: 'public', name: '===', runs: 'public.f', because: 'its function is it' }],
  types: [{ oid: 20_001, schema: 'public', name: 'd', runs: 'public.f', because: 'its check' }],
  views: [],
  relations: [{ schema: 'public', name: 't' }],
}

/** What is said of the snapshot's file with one thing in it changed. */
function complaint(from: string, to: string): string {
  const text = JSON.stringify(snapshot)
  expect(text).toContain(from)
  try {
    parseSnapshot(text.replace(from, to), 'shop.json')
    return ''
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return error.message
  }
}

describe('the file of a snapshot', () => {
  it('holds all of it', () => {
    expect(parseSnapshot(snapshotText(snapshot), 'shop.json')).toEqual(snapshot)
  })

  it.each([
    ['{"format"', '[{"format"', 'shop.json: not JSON: '],
    ['"format":1', '"format":2', 'shop.json: format: expected 1: this is no catalog snapshot'],
    ['"format":1,', '', 'shop.json: format: expected 1'],
    ['180000', '"18"', 'shop.json: serverVersion: expected a whole number'],
    ['"views":[]', '"views":{}', 'shop.json: views: expected a list'],
    ['"views":[],', '', 'shop.json: views: expected a list'],
    ['"views":[]', '"views":[null]', 'shop.json: views[0]: expected an object'],
    ['"oid":20001,', '', 'shop.json: types[0].oid: expected a whole number'],
    ['"volatile":false', '"volatile":"f"', 'functions[1].volatile: expected true or false'],
    ['"volatile":false,', '', 'functions[1].volatile: expected true or false'],
    ['"leastArguments":0', '"leastArguments":-1', 'functions[1].leastArguments: expected a whole'],
    ['"mostArguments":2', '"mostArguments":null', 'functions[1].mostArguments: expected a whole'],
    ['"name":"==="', '"name":""', 'shop.json: operators[0].name: expected a text'],
    ['"name":"t"', '"name":7', 'shop.json: relations[0].name: expected a text'],
  ])('is refused with what is wrong in it: %s -> %s', (from, to, sentence) => {
    expect(complaint(from, to)).toContain(sentence)
  })
})
