// How much of a role's statements is recorded, and how safely. Personal data need not be in a journal for
// there to be one. Ignorant of how it is done.

export interface Recording {
  /**
   * `full`: the text, without its secrets. `normalized`: constants and comments left out, PostgreSQL's
   * way: `$1`. `fingerprint`: no text at all, only what is the same for all texts of one shape.
   */
  readonly text: 'full' | 'normalized' | 'fingerprint'
  /** Values given beside the text, by Bind. */
  readonly parameters: 'none' | 'full'
  /**
   * `batch`: what is recorded before a statement is forwarded is on the disk, and survives the loss of
   * power. `os`: it is the kernel's, and survives the death of the process.
   */
  readonly fsync: 'os' | 'batch'
}

export const usualRecording: Recording = { text: 'full', parameters: 'none', fsync: 'os' }
