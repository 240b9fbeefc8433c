// What of a query string goes into the journal: its text, without the secrets in it, or without all its
// constants, or not at all; and what of all texts of its shape is the same. Ignorant of records, and of
// how secrets are found (sql/redact.ts).

import type { Decision, Judgement } from '../policy/decision.ts'
import type { Parsed } from '../sql/facts.ts'
import { withoutGuessed, withoutSecrets } from '../sql/redact.ts'
import { fingerprint, normalized } from '../sql/shape.ts'
import { perJudgement } from './per-judgement.ts'
import type { Recording } from './recording.ts'

export interface RecordedText {
  /** Undefined where the role's recording shows none. */
  readonly text: string | undefined
  /** 16 hexadecimal digits; undefined where the text cannot be parsed, or is very long. */
  readonly fingerprint: string | undefined
  /**
   * There is a secret in it, or in the values that belong to it: none of those may be recorded, nor what
   * the server says of an error, since servers quote what they were given.
   */
  readonly redacted: boolean
}

type Mode = Recording['text']

/** In characters: what others wait for, and the journal keeps only the beginning of. */
const longestFingerprinted = 64 * 1024

/** The same object for the same judgement and mode, for as long as the judgement is remembered. */
export const recordedText = perJudgement(({ text, analysis }, mode): RecordedText => {
  if (analysis.type === 'unparsable') {
    const guarded = withoutGuessed(text)
    const redacted = guarded !== text
    return { text: mode === 'full' ? guarded : undefined, fingerprint: undefined, redacted }
  }
  const clean = withoutSecrets(text, analysis.secrets)
  return {
    text: shown(clean, mode),
    fingerprint: text.length > longestFingerprinted ? undefined : fingerprint(clean),
    redacted: analysis.secrets.length > 0 || takesSecrets(analysis),
  }
})

function shown(text: string, mode: Mode): string | undefined {
  switch (mode) {
    case 'full':
      return text
    case 'normalized':
      return normalized(text)
    case 'fingerprint':
      return undefined
  }
}

/** Why it was decided so, without what the text may not show: a reason quotes what it is about. */
export function recordedReason(judgement: Judgement, { reason }: Decision, mode: Mode): string {
  if (mode === 'full' && !recordedText(judgement, mode).redacted) return reason
  // The parser quotes a word of the text, a setting's value stands in quotes; names are no constants.
  const quoted = judgement.analysis.type === 'unparsable' ? /".*"/s : /'.*'/s
  return reason.replace(quoted, (found) => `${found.charAt(0)}[redacted]${found.charAt(0)}`)
}

/**
 * The mode for a text that may run others by name, as `EXECUTE p('...')` does: its constants are values of
 * theirs, and may be secrets that they do not look like. So they are where nobody knows what `p` is.
 */
export function modeOfCaller(
  { analysis, executes }: Judgement,
  called: readonly Judgement[],
  mode: Mode,
): Mode {
  if (mode !== 'full' || analysis.type === 'unparsable') return mode
  if (analysis.statements.every((statement) => statement.executes === undefined)) return mode
  // Two names of one text are taken for an unknown one: that shows too little, and never too much.
  const unknown = new Set(executes).size > called.length
  const analyses = [analysis, ...called.map((each) => each.analysis)]
  const secret = analyses.some((each) => each.type === 'parsed' && takesSecrets(each))
  return unknown || secret ? 'normalized' : mode
}

function takesSecrets({ statements }: Parsed): boolean {
  return statements.some(({ secretParameters }) => secretParameters)
}
