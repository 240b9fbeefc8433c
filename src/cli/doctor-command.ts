// `pgwarden doctor`: tries a configuration from end to end, and says for each failure what to change. One
// finding after the other as they come; JSON lines for programs. Ignorant of what is examined, and how.

import type { Command } from 'commander'
import type { Finding } from './operations.ts'
import { type Context, examples } from './program.ts'
import { untilSignalled } from './signals.ts'
import { print, printable, type Style, styleFor, type Terminal } from './terminal.ts'

interface DoctorOptions {
  readonly config: string
  readonly target?: string
  readonly json?: boolean
}

export function addDoctor(program: Command, context: Context): void {
  const { operations, terminal, runs } = context
  const doctor = program
    .command('doctor')
    .description(
      'Try everything that a configuration needs, and say what to change. Status 1 when something failed.',
    )
    .requiredOption('--config <file>', 'the configuration')
    .option('--target <name>', 'this target alone')
    .option('--json', 'a line of JSON for each finding')
    .action(
      runs(async ({ config, target, json = false }: DoctorOptions) => {
        const found = { ok: 0, warn: 0, fail: 0 }
        const style = styleFor(terminal.stdout, terminal.env)
        const progress = progressOn(terminal)
        const ended = { early: false }
        await untilSignalled(terminal, async (signal) => {
          const onStep = progress.show
          const findings = (await operations()).doctor({
            configFile: config,
            target,
            signal,
            onStep,
          })
          for await (const finding of findings) {
            found[finding.result] += 1
            progress.clear()
            const text = json ? `${JSON.stringify(finding)}\n` : paragraph(finding, style)
            await print(terminal.stdout, text)
          }
          ended.early = signal.aborted
        })
        progress.clear()
        if (!json) await print(terminal.stdout, summary(found, style))
        return found.fail === 0 && !ended.early ? 0 : 1
      }),
    )
  examples(
    doctor,
    'pgwarden doctor --config /etc/pgwarden/pgwarden.yaml',
    'pgwarden doctor --config pgwarden.yaml --target shop',
    `pgwarden doctor --config pgwarden.yaml --json | jq 'select(.result == "fail")'`,
  )
}

/** `target shop role read_limited_write`; what is longer moves its message alone. */
const subjectWidth = 36

function paragraph({ result, subject, message, advice }: Finding, style: Style): string {
  const about = printable(subject).padEnd(subjectWidth)
  const line = `${verdict(result, style)} ${style('bold', about)} ${printable(message)}\n`
  return advice === undefined
    ? line
    : `${line}     ${style('dim', 'What to do:')} ${printable(advice)}\n`
}

function verdict(result: Finding['result'], style: Style): string {
  switch (result) {
    case 'ok':
      return style('green', 'ok  ')
    case 'warn':
      return style('yellow', 'warn')
    case 'fail':
      return style('red', 'FAIL')
  }
}

function summary(found: Readonly<Record<Finding['result'], number>>, style: Style): string {
  const { ok, warn, fail } = found
  const counts = `${ok} ok, ${warn} ${warn === 1 ? 'warning' : 'warnings'}, ${fail} failed`
  return `\n${style('bold', counts)}\n`
}

const clearLine = '\r\u001b[K'

/** One line that is written over, for a person who waits. */
function progressOn({ stderr }: Terminal): { show(step: string): void; clear(): void } {
  if (stderr.isTTY !== true) return { show: () => undefined, clear: () => undefined }
  return {
    show: (step) => {
      stderr.write(`${clearLine}${printable(step).slice(0, 100)} ...`)
    },
    clear: () => {
      stderr.write(clearLine)
    },
  }
}
