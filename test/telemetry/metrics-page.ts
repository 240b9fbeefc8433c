// docs/metrics.md as the catalogue says it. Ignorant of what is measured.

import type { Subject } from '../../src/telemetry/catalogue.ts'
import type { Definition, Label } from '../../src/telemetry/definition.ts'

const introduction = `# Metrics

Written from the code by \`npm run metrics:write\`; \`npm run check\` fails when it says something else than the code.

\`GET /metrics\` answers in Prometheus' text format, version 0.0.4. Names and labels are a contract: one that goes, or means something else, is in
the [changelog](../CHANGELOG.md). Where a value of a label comes from something that a client says, it is one of a fixed list: nobody can make
series without end.

- **Labels**: all values, or where they come from. With several workers each series has also \`worker\`: \`0\` is the supervisor, the others
  count from 1. A worker that was replaced begins at 0 again.
- **Across** processes, workers and replicas alike: \`sum\` of what each tells, or \`max\`, because all tell the same or only the largest
  means something: \`sum by (role) (...)\`, \`max by (target) (...)\`.
- Units are base units and stand in the name: seconds, bytes. Counters end in \`_total\` and begin at 0 with each process.
`

export function metricsPage(catalogue: readonly Subject[]): string {
  return [introduction, ...catalogue.map(chapter)].join('\n')
}

function chapter({ title, shown, metrics }: Subject): string {
  const head = '| Name | Type | Labels | Across | |\n| --- | --- | --- | --- | --- |'
  const rows = Object.values(metrics).map(row)
  return [`## ${title}`, '', ...(shown === undefined ? [] : [shown, '']), head, ...rows, ''].join(
    '\n',
  )
}

function row(metric: Definition): string {
  const { name, type, labels = [], help, note, across = 'sum' } = metric
  const buckets = metric.type === 'histogram' ? ` Buckets: ${metric.buckets.join(', ')}.` : ''
  const said = `${help}${note === undefined ? '' : ` ${note}`}${buckets}`
  const cells = [`\`${name}\``, type, labels.map(described).join('; '), across, said]
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

function described({ name, values }: Label): string {
  return `\`${name}\`: ${typeof values === 'string' ? values : values.join(', ')}`
}
