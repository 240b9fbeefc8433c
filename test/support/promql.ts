// What an expression of PromQL asks for: its metrics with the labels that they are picked by, and the labels
// that it groups by. Reads words, not grammar: whether it is sound promtool and Prometheus say. Source:
// Prometheus, "Querying basics", "Operators".

interface Selector {
  readonly metric: string
  readonly labels: readonly string[]
}

interface Asked {
  readonly selectors: readonly Selector[]
  /** Behind by, on and their like. */
  readonly groups: readonly string[]
  /** Metrics that are added up right there: sum(metric) or sum by (...) (metric), without a function between. */
  readonly summed: readonly string[]
}

const token = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[a-zA-Z_$:][\w:$]*|\d[\w.]*|[<>=!~]+|\S/g
const grouping = new Set(['by', 'without', 'on', 'ignoring', 'group_left', 'group_right'])
const operator = new Set(['and', 'or', 'unless', 'bool', 'offset'])

export function askedBy(expression: string): Asked {
  const words: readonly string[] = expression.match(token) ?? []
  const selectors: Selector[] = []
  const groups: string[] = []
  const summed: string[] = []
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? ''
    if (word === '[') {
      at = words.indexOf(']', at)
    } else if (grouping.has(word) && words[at + 1] === '(') {
      const end = words.indexOf(')', at)
      groups.push(...words.slice(at + 2, end).filter((each) => each !== ','))
      at = end
    } else if (/^[a-zA-Z_:]/.test(word) && !operator.has(word) && !isCalled(words, at)) {
      const end = words[at + 1] === '{' ? words.indexOf('}', at) : at
      const matchers = words.slice(at + 2, end)
      selectors.push({
        metric: word,
        labels: matchers.filter((_, place) => /^[<>=!~]+$/.test(matchers[place + 1] ?? '')),
      })
      if (isSummed(words, at)) summed.push(word)
      at = end
    }
  }
  return { selectors, groups, summed }
}

/** A function, or an aggregation with its labels before what it aggregates. */
function isCalled(words: readonly string[], at: number): boolean {
  const next = words[at + 1] ?? ''
  return next === '(' || grouping.has(next)
}

function isSummed(words: readonly string[], at: number): boolean {
  if (words[at - 1] !== '(') return false
  const before = words[at - 2] === ')' ? words.lastIndexOf('(', at - 2) - 2 : at - 2
  return words[before] === 'sum'
}
