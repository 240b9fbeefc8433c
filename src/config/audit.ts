// The section `audit`: what of a role's statements is recorded, and which sinks there are besides the journal
// (sinks.ts). Ignorant of how records are made and sent.

import { z } from 'zod'
import { type Recording, usualRecording } from '../audit/recording.ts'
import type { SinkSettings } from '../audit/sink-settings.ts'
import type { Problem } from './problems.ts'
import { sinkOf, sinkSchema } from './sinks.ts'
import { keys, list, type Surroundings, text } from './values.ts'

export interface AuditConfig {
  /** How a role's statements are recorded. */
  readonly recording: (role: string) => Recording
  readonly sinks: readonly SinkSettings[]
}

const recording = keys({
  text: z
    .enum(['full', 'normalized', 'fingerprint'], 'expected full, normalized or fingerprint')
    .optional(),
  parameters: z.enum(['none', 'full'], 'expected none or full').optional(),
  fsync: z.enum(['os', 'batch'], 'expected os or batch').optional(),
})

export function auditSchema(surroundings: Surroundings, resolvePath: (path: string) => string) {
  return keys({
    statements: recording.prefault({}),
    roles: z.record(text, recording, 'expected a mapping').default({}),
    sinks: z.array(sinkSchema(surroundings, resolvePath), list).default([]),
  })
}

type RawAudit = z.output<ReturnType<typeof auditSchema>>
export function auditOf(raw: RawAudit): AuditConfig {
  const usual = laidOver(usualRecording, raw.statements)
  const roles = new Map(
    Object.entries(raw.roles).map(([role, own]) => [role, laidOver(usual, own)]),
  )
  return { recording: (role) => roles.get(role) ?? usual, sinks: raw.sinks.map(sinkOf) }
}

/** What has been sent to a sink is kept under its name. */
export function auditProblems(raw: RawAudit, roles: ReadonlySet<string>): Problem[] {
  const names = raw.sinks.map((sink) => sinkOf(sink).name)
  return [
    ...Object.keys(raw.roles)
      .filter((role) => !roles.has(role))
      .map((role) => ({
        path: ['audit', 'roles', role],
        message: `there is no role "${role}"`,
        atKey: true,
      })),
    ...names.flatMap((own, at) =>
      names.indexOf(own) === at
        ? []
        : [
            {
              path: ['audit', 'sinks', at],
              message: `another sink is called "${own}" already: give this one a name`,
            },
          ],
    ),
  ]
}

function laidOver(below: Recording, above: Partial<RawAudit['statements']>): Recording {
  return {
    text: above.text ?? below.text,
    parameters: above.parameters ?? below.parameters,
    fsync: above.fsync ?? below.fsync,
  }
}
