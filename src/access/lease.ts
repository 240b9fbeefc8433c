// What is kept of a lease from before its database role exists until it is certain that the role is
// gone, so that a role outlives neither its grant nor the process that made it. Ignorant of passwords:
// a lease's password lives in the memory of one process only.

/** Who issues leases and can end them. */
export type LeaseEngine = 'broker'

export interface LeaseRecord {
  readonly id: string
  readonly grantId: string
  readonly target: string
  readonly engine: LeaseEngine
  readonly databaseRole: string
  /** The process that holds it: a name of one run, not of a machine. */
  readonly instance: string
  /** Milliseconds since the epoch. */
  readonly issuedAt: number
}
