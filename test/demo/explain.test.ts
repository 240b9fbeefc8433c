import { describe, expect, it } from 'vitest'
import { explainFailedStart } from '../../src/demo/explain.ts'

describe('a PostgreSQL that does not start', () => {
  it.each([
    {
      output:
        'postgres: error while loading shared libraries: libxml2.so.2: cannot open shared object file: No such file or directory',
      says: 'PostgreSQL needs the shared library libxml2.so.2, which is missing',
    },
    {
      output:
        'LOG:  could not bind IPv4 address "127.0.0.1": Address already in use\n' +
        'HINT:  Is another postmaster already running on port 5432?\n' +
        'FATAL:  could not create any TCP/IP sockets',
      says: 'another program already listens on the port meant for PostgreSQL',
    },
    {
      output:
        'FATAL:  lock file "postmaster.pid" already exists\n' +
        'HINT:  Is another postmaster (PID 4711) running in data directory "/d"?',
      says: 'a PostgreSQL server (process 4711) already runs on this data directory',
    },
    {
      output:
        'FATAL:  database files are incompatible with server\n' +
        'DETAIL:  The data directory was initialized by PostgreSQL version 17, which is not compatible with this version 18.4.',
      says: 'the data directory was made by PostgreSQL 17, another version than the one installed',
    },
    {
      output: 'FATAL:  could not write to file "pg_wal/xlogtemp.1": No space left on device',
      says: 'no space is left on the device that holds the data directory',
    },
    {
      output: 'FATAL:  data directory "/d" has wrong ownership',
      says: 'the data directory belongs to another account of this machine',
    },
    {
      output: 'LOG:  starting\nFATAL:  unrecognized configuration parameter "x"',
      says: 'PostgreSQL did not start: unrecognized configuration parameter "x"',
    },
    { output: '', says: 'PostgreSQL ended before it was ready' },
  ])('says: $says', ({ output, says }) => {
    expect(explainFailedStart(output).message).toBe(says)
  })

  it('keeps the last lines of what PostgreSQL said', () => {
    const output = ['1', '2', '3', '4', '5', 'FATAL:  6'].join('\n')
    expect(explainFailedStart(output).detail).toBe('2\n3\n4\n5\nFATAL:  6')
  })
})
