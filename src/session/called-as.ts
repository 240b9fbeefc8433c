// The protocol's FunctionCall as the SQL that it stands for. Of the functions that it can name by OID only
// those of libpq's large-object interface are known here, since every client library calls them so; the
// rest have no text, and are for nobody. Ignorant of what a role may do.
// fe-lobj.c; pg_proc.dat, whose OIDs never change; libpq-fs.h.

import type { FunctionCall } from '../wire/frontend.ts'

const texts: ReadonlyMap<number, Buffer> = new Map(
  Object.entries({
    715: 'lo_create($1)',
    952: 'lo_open($1, $2)',
    953: 'lo_close($1)',
    954: 'loread($1, $2)',
    955: 'lowrite($1, $2)',
    956: 'lo_lseek($1, $2, $3)',
    957: 'lo_creat($1)',
    958: 'lo_tell($1)',
    964: 'lo_unlink($1)',
    1004: 'lo_truncate($1, $2)',
    3170: 'lo_lseek64($1, $2, $3)',
    3171: 'lo_tell64($1)',
    3172: 'lo_truncate64($1, $2)',
  }).map(([oid, call]) => [Number(oid), select(call)]),
)

const loOpen = 952

/** The query string to judge and record a call by; undefined for a function that is not known. */
export function calledAs(oid: number, call: FunctionCall | undefined): Buffer | undefined {
  const mode = call?.oid === loOpen ? int4(call, 1) : undefined
  // Whether a descriptor can be written to is in no later message: what may open it hangs on the mode.
  return mode === undefined ? texts.get(oid) : select(`lo_open($1, ${mode})`)
}

/** An argument that the server will read as this integer, where that is certain. */
function int4({ argumentFormats, arguments: args }: FunctionCall, at: number): number | undefined {
  const value = args[at]
  const binary = argumentFormats[argumentFormats.length === 1 ? 0 : at] === 1
  return binary && value?.length === 4 ? value.readInt32BE() : undefined
}

function select(call: string): Buffer {
  return Buffer.from(`SELECT pg_catalog.${call}`)
}
