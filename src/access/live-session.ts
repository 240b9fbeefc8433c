// A session as other processes know it: whose it is and where it comes from. Ignorant of where such things
// are kept, and of what the session does.

export interface LiveSession {
  readonly id: string
  readonly grantId: string
  readonly principal: string
  readonly target: string
  readonly role: string
  /** `address:port` */
  readonly client: string
  /** What the client calls itself, where it says. */
  readonly application: string | undefined
  /** Milliseconds since the epoch. */
  readonly startedAt: number
}

/** Which are wanted; what is left out does not matter. */
export interface WantedSessions {
  readonly id?: string
  readonly principal?: string
  readonly target?: string
  readonly grantId?: string
}
