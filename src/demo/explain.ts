// Turns what PostgreSQL wrote before it gave up into one sentence that its reader can act on.
// Ignorant of processes and files: text in, Failure out. The patterns are PostgreSQL's own messages
// (in English: it is started with LC_ALL=C) and the dynamic linker's.

import { Failure, type FailureText } from '../errors.ts'

const startOver = 'Start over with --reset, or choose another directory with --data.'

const explanations: readonly {
  readonly pattern: RegExp
  readonly text: (found: RegExpExecArray) => FailureText
}[] = [
  {
    pattern: /error while loading shared libraries: ([^:\s]+)|Library not loaded: (\S+)/,
    text: (found) => ({
      message: `PostgreSQL needs the shared library ${found[1] ?? found[2] ?? ''}, which is missing`,
      hint: "Install the system's package that holds it, then try again.",
    }),
  },
  {
    pattern: /could not bind IPv4 address "[^"]*": (?:Address already in use|.*\n.*port (\d+))/,
    text: () => ({
      message: 'another program already listens on the port meant for PostgreSQL',
      hint: 'Try again; the port is chosen anew at each start.',
    }),
  },
  {
    pattern: /Is another postmaster \(PID (\d+)\) running/,
    text: (found) => alreadyRuns(Number(found[1])),
  },
  {
    pattern: /initialized by PostgreSQL version (\d+)/,
    text: (found) => otherVersion(found[1] ?? 'another version'),
  },
  {
    pattern: /No space left on device/,
    text: () => ({
      message: 'no space is left on the device that holds the data directory',
      hint: 'Free some space (about 100 MB are needed), or choose another directory with --data.',
    }),
  },
  {
    pattern: /has wrong ownership/,
    text: () => ({
      message: 'the data directory belongs to another account of this machine',
      hint: startOver,
    }),
  },
  {
    pattern: /could not (?:create|open|resize|map) shared memory|could not create semaphores/,
    text: () => ({
      message: 'the operating system gives PostgreSQL no shared memory',
      hint: 'In a container, raise the size of /dev/shm (docker run --shm-size=256m).',
    }),
  },
  {
    pattern: /Permission denied/,
    text: () => ({
      message: 'PostgreSQL may not read or write a file that it needs',
      hint: startOver,
    }),
  },
  {
    pattern: /(?:FATAL|PANIC): {2}(.*)/,
    text: (found) => ({
      message: `PostgreSQL did not start: ${found[1] ?? ''}`,
      hint: startOver,
    }),
  },
]

/** Why PostgreSQL (or initdb) ended: `output` is what it wrote. */
export function explainFailedStart(output: string, cause?: unknown): Failure {
  for (const { pattern, text } of explanations) {
    const found = pattern.exec(output)
    if (found === null) continue
    return new Failure(
      'invalid_configuration',
      { detail: excerpt(output), ...text(found) },
      { cause },
    )
  }
  const message = 'PostgreSQL ended before it was ready'
  return new Failure('invalid_configuration', { message, detail: excerpt(output) }, { cause })
}

/** For a data directory whose lock file names a process that is alive. */
export function alreadyRuns(process: number): FailureText {
  return {
    message: `a PostgreSQL server (process ${process}) already runs on this data directory`,
    hint: `Another demo may be using it: stop that one (kill -INT ${process}), or choose another directory with --data.`,
  }
}

/** For a data directory made by another major version than ours. */
export function otherVersion(version: string): FailureText {
  return {
    message: `the data directory was made by PostgreSQL ${version}, another version than the one installed`,
    hint: startOver,
  }
}

function excerpt(output: string): string {
  return output.trim().split('\n').slice(-5).join('\n')
}
