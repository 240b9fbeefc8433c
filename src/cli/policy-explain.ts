// `pgwarden policy explain`: one query string, what is known of it, the rule that decided and the way
// to more. A table for people, or the same as JSON. Ignorant of streams and exit statuses.

import type { Explanation } from '../policy/explanation.ts'
import { printable, type Style } from './terminal.ts'

type Row = readonly [label: string, value: string]

/** For people. Ends with a line end. */
export function renderExplanation(explanation: Explanation, style: Style): string {
  const blocks = [decisionRows(explanation, style), ...explanation.statements.map(statementRows)]
  return blocks.map((rows) => rows.map((row) => line(row, style)).join('')).join('\n')
}

function decisionRows(explanation: Explanation, style: Style): readonly Row[] {
  const { decision, role, rule, reason, error, allowedTo, statements } = explanation
  const rows: Row[] = [
    ['decision', style(decision === 'allow' ? 'green' : 'red', decision)],
    ['role', role],
    ['tags', statements.map(({ tag }) => tag).join(', ') || '(no statement)'],
    ['rule', rule],
    ['reason', reason],
  ]
  if (error !== undefined) {
    rows.push(['client sees', `ERROR:  ${error.message} (SQLSTATE ${error.sqlstate})`])
    if (error.detail !== undefined) rows.push(['detail', error.detail])
    if (error.hint !== undefined) rows.push(['hint', error.hint])
  }
  return [...rows, ['allowed to', allowedTo.join(', ') || 'no role']]
}

function statementRows(
  statement: Explanation['statements'][number],
  index: number,
): readonly Row[] {
  const { actions, relations, functions, settings, operators, types, copies, opaque } = statement
  const rows: readonly Row[] = [
    [`statement ${index + 1}`, shortened(statement.text)],
    ['tag', `${statement.tag}, class ${statement.class}`],
    ...actions.map(({ command, where }): Row => ['command', `${command} (${where})`]),
    ...relations.map(({ access, ...use }): Row => [`${access}s`, qualified(use)]),
    ...functions
      // Nearly every column could be a call; what is taken for a column is not worth a line.
      .filter(({ kind }) => kind !== 'column')
      .map(({ kind, notation, ...use }): Row => {
        const how = notation === 'call' ? '' : `, by ${notation}`
        return ['calls', `${qualified(use)} (${kind}${how})`]
      }),
    ...settings.map(({ by, name, kind, values }): Row => {
      const value = kind === 'set' ? ` to ${values?.join(', ') ?? 'what is not a constant'}` : ''
      return ['setting', `${by} ${name}${value}`]
    }),
    ...listed('operators', operators.map(qualified)),
    ...listed('types', types.map(qualified)),
    ...copies.map(({ direction, endpoint }): Row => ['copies', `${direction} the ${endpoint}`]),
    ...listed('prepares', named(statement.prepares?.name)),
    ...listed('executes', named(statement.executes)),
    ...listed('cursor', named(statement.declares?.name ?? statement.fetches ?? statement.closes)),
    ...listed('opaque', named(opaque)),
  ]
  return rows
}

function listed(label: string, values: readonly string[]): readonly Row[] {
  return values.length === 0 ? [] : [[label, values.join(' ')]]
}

function named(name: string | undefined): readonly string[] {
  return name === undefined ? [] : [name]
}

function qualified(use: { readonly schema: string | undefined; readonly name: string }): string {
  return use.schema === undefined ? use.name : `${use.schema}.${use.name}`
}

function line([label, value]: Row, style: Style): string {
  // The decision is coloured already, by us; all else may hold a stranger's characters.
  const shown = label === 'decision' ? value : printable(value)
  return `${style('dim', label.padEnd(14))}${shown}\n`
}

function shortened(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}...` : text
}
