// What of a query string goes into the journal: its text, without the secrets in it, or without all its
// constants, or not at all; and what of all texts of its shape is the same. Ignorant of records.

import type { Decision, Judgement } from '../policy/decision.ts'
import type { Recording } from './recording.ts'

export interface RecordedText {
  /** Undefined where the role's recording shows none. */
  readonly text: string | undefined
  /** libpg_query's, 16 hexadecimal digits; undefined where the text cannot be parsed. */
  readonly fingerprint: string | undefined
  /** Something was left out of the text because it is a secret. */
  readonly redacted: boolean
}

/** The same object for the same judgement and mode, for as long as the judgement is remembered. */
export function recordedText(judgement: Judgement, _mode: Recording['text']): RecordedText {
  return { text: judgement.text, fingerprint: undefined, redacted: false }
}

/** Why it was decided so, without what the text may not show. */
export function recordedReason(
  _judgement: Judgement,
  decision: Decision,
  _mode: Recording['text'],
): string {
  return decision.reason
}

/** What the server said of an error, without what the text may not show; undefined: nothing of it. */
export function recordedMessage(
  _judgement: Judgement,
  message: string,
  _mode: Recording['text'],
): string | undefined {
  return message
}
