// Remembers what a record says of a judgement, for as long as the judgement is remembered elsewhere:
// judgements are immutable, and each way of recording shows another part of them. Ignorant of what it is.

import type { Judgement } from '../policy/decision.ts'
import type { Recording } from './recording.ts'

type Describe<Value> = (judgement: Judgement, mode: Recording['text']) => Value

/** The same as `describe`, which is asked once for each judgement and way. */
export function perJudgement<Value extends object | string>(
  describe: Describe<Value>,
): Describe<Value> {
  const memos = {
    full: new WeakMap<Judgement, Value>(),
    normalized: new WeakMap<Judgement, Value>(),
    fingerprint: new WeakMap<Judgement, Value>(),
  }
  return (judgement, mode) => {
    const memo = memos[mode]
    let value = memo.get(judgement)
    if (value === undefined) {
      value = describe(judgement, mode)
      memo.set(judgement, value)
    }
    return value
  }
}
