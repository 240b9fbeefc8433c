// A Dockerfile as a list of instructions by stage: enough to hold ours to its promises. Ignorant of heredocs, of
// escapes other than the backslash at a line's end, and of what an instruction does.

import { readFileSync } from 'node:fs'

interface Instruction {
  readonly name: string
  /** Lines joined, comments left out. */
  readonly rest: string
}

export interface Stage {
  readonly name: string
  readonly from: string
  readonly instructions: readonly Instruction[]
}

/** With the defaults of the arguments before the first FROM. */
export function readStages(path: string): readonly Stage[] {
  const lines = readFileSync(path, 'utf8').split('\n')
  const text = lines.filter((line) => !line.trimStart().startsWith('#')).join('\n')
  const defaults = new Map<string, string>()
  const stages: { name: string; from: string; instructions: Instruction[] }[] = []
  for (const line of text.replaceAll(/\\\n\s*/g, ' ').split('\n')) {
    const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? []
    const stage = stages.at(-1)
    if (name === '') continue
    if (name === 'FROM') {
      const [from = '', , as = ''] = rest.split(/\s+/)
      const image = from.replaceAll(/\$\{(\w+)\}/g, (_, key: string) => defaults.get(key) ?? '')
      stages.push({ name: as, from: image, instructions: [] })
    } else if (stage === undefined) {
      const [key = '', ...value] = rest.split('=')
      defaults.set(key, value.join('='))
    } else {
      stage.instructions.push({ name, rest })
    }
  }
  return stages
}

export function saying({ instructions }: Stage, name: string): readonly string[] {
  return instructions.filter((one) => one.name === name).map(({ rest }) => rest)
}
