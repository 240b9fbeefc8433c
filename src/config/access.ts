// The rules of access as the configuration writes them: sections `access` and, for each target, production,
// approvers and requesters; what they mean, and what has to agree with the rest of the file. Without a
// section `access` nothing can be asked for. Ignorant of requests.

import { z } from 'zod'
import type { AccessRules, ApprovalRule } from '../access/rules.ts'
import type { Problem } from './problems.ts'
import { duration, keys, list, mapping, name, text } from './values.ts'

const day = 24 * 60 * 60 * 1000

const flag = z.boolean('expected true or false')
/** Of the identity provider: whatever it calls them. */
const groups = z.array(text, list).min(1, 'expected at least one group')
const groupsByFunction = z.record(name, groups, mapping)

/** A union would only say that it is neither; this says what is wrong in the mapping. */
function offOr<Schema extends z.ZodType>(schema: Schema) {
  return z.unknown().transform((value, context): 'off' | z.output<Schema> => {
    if (value === 'off') return value
    const parsed = schema.safeParse(value)
    if (parsed.success) return parsed.data
    for (const { path, message, ...issue } of parsed.error.issues) {
      const input = undefined
      context.issues.push(
        issue.code === 'unrecognized_keys'
          ? { code: issue.code, keys: issue.keys, path, message, input }
          : { code: 'custom', path, message, input },
      )
    }
    return z.NEVER
  })
}

const rule = keys(
  {
    approvals: z
      .array(name, list)
      .min(1, 'expected at least one: what needs nobody is said by automatic')
      .exactOptional(),
    automatic: offOr(
      keys(
        { upTo: duration('1m', '24h').prefault('24h'), production: flag.default(false) },
        'expected off or a mapping with upTo and production',
      ),
    ).exactOptional(),
    services: flag.exactOptional(),
    longest: duration('1m', '30d').exactOptional(),
    requesters: groups.exactOptional(),
  },
  'expected off or a mapping',
)

export const accessSchema = keys({
  defaultDuration: duration('1m', '30d').prefault('24h'),
  longestUnapproved: duration('1m', '24h').prefault('24h'),
  longest: duration('1m', '30d').prefault('30d'),
  pendingFor: duration('1m', '30d').prefault('8h'),
  administrators: z.array(text, list).default([]),
  auditors: z.array(text, list).default([]),
  approvers: groupsByFunction.prefault({}),
  teams: z.record(text, keys({ approvers: groupsByFunction }), mapping).prefault({}),
  rules: z.record(name, offOr(rule), mapping).prefault({}),
})

/** What a target says of access; part of its mapping. */
export const targetAccess = {
  production: flag.default(false),
  approvers: groupsByFunction.prefault({}),
  requesters: groups.optional(),
}

type RawAccess = z.output<typeof accessSchema>

/** Of a target, what matters here. */
export interface AccessTarget {
  readonly production: boolean
  readonly approvers: Readonly<Record<string, readonly string[]>>
  readonly requesters?: readonly string[] | undefined
  /** The roles that there are credentials for. */
  readonly offers: readonly string[]
}

type AccessTargets = ReadonlyMap<string, AccessTarget>

interface Defaults {
  readonly approvals: readonly string[]
  readonly automatic?: ApprovalRule['automatic']
  readonly services: boolean
}

const defaults: ReadonlyMap<string, Defaults> = new Map<string, Defaults>([
  [
    'read_only',
    { approvals: ['manager'], automatic: { upToMs: day, production: false }, services: true },
  ],
  ['read_limited_write', { approvals: ['manager'], services: true }],
  ['read_full_write', { approvals: ['manager', 'ciso'], services: true }],
  ['admin', { approvals: ['ciso', 'dba'], services: false }],
])
/** Those of the default rules: they may be named although no rule of the file asks for them. */
const usualFunctions = ['manager', 'ciso', 'dba']

/** What is right by itself and wrong beside the rest of the file. `roles` are all that there are. */
export function accessProblems(
  access: RawAccess | undefined,
  roles: ReadonlySet<string>,
  targets: AccessTargets,
): Problem[] {
  if (access === undefined) return withoutSection(targets)
  const problems: Problem[] = []
  const problem = (path: Problem['path'], message: string, atKey = false): void => {
    problems.push({ path, message, atKey })
  }
  const { longest, longestUnapproved, defaultDuration } = access
  if (defaultDuration > longest) {
    problem(['access', 'defaultDuration'], 'longer than access.longest allows')
  }
  for (const [role, own] of Object.entries(access.rules)) {
    const path = ['access', 'rules', role]
    if (!roles.has(role)) problem(path, 'there is no such role', true)
    if (own === 'off') continue
    const { approvals = defaults.get(role)?.approvals, automatic } = own
    if (approvals === undefined) problem(path, 'missing: approvals, a list of who must approve')
    else if (new Set(approvals).size < approvals.length) {
      problem([...path, 'approvals'], 'names one twice')
    }
    if (own.longest !== undefined && own.longest > longest) {
      problem([...path, 'longest'], 'longer than access.longest allows')
    }
    if (automatic !== undefined && automatic !== 'off' && automatic.upTo > longestUnapproved) {
      problem([...path, 'automatic', 'upTo'], 'longer than access.longestUnapproved allows')
    }
  }
  return problems.length > 0 ? problems : approverProblems(accessOf(access, targets, []), access)
}

function withoutSection(targets: AccessTargets): Problem[] {
  return [...targets].flatMap(([target, { production, approvers, requesters }]) => {
    const keysGiven = [
      ...(production ? ['production'] : []),
      ...(Object.keys(approvers).length > 0 ? ['approvers'] : []),
      ...(requesters === undefined ? [] : ['requesters']),
    ]
    const message = 'means nothing without a section access, which says how one asks for access'
    return keysGiven.map((key) => ({ path: ['targets', target, key], message, atKey: true }))
  })
}

/** Functions that nobody fills, which would leave requests pending for ever, and those that nobody asks for. */
function approverProblems(rules: AccessRules, access: RawAccess): Problem[] {
  const problems: Problem[] = []
  const asked = new Set([...usualFunctions, ...functionsAsked(rules)])
  const unasked = (path: Problem['path'], names: Iterable<string>): void => {
    for (const name of names) {
      if (asked.has(name)) continue
      problems.push({ path: [...path, name], message: 'no rule asks for it', atKey: true })
    }
  }
  unasked(['access', 'approvers'], rules.approvers.keys())
  for (const [team, approvers] of rules.teams) {
    unasked(['access', 'teams', team, 'approvers'], approvers.keys())
  }
  for (const [target, { approvers, roles }] of rules.targets) {
    unasked(['targets', target, 'approvers'], approvers.keys())
    for (const role of roles) {
      for (const name of rules.roles.get(role)?.approvals ?? []) {
        if (approvers.has(name) || rules.approvers.has(name)) continue
        const message = `nobody could approve ${role} on ${target}: give groups for ${name}, or write rules: { ${role}: off }`
        const path =
          access.rules[role] === undefined ? ['access', 'approvers'] : ['access', 'rules', role]
        problems.push({ path, message, atKey: true })
      }
    }
  }
  return problems
}

function functionsAsked(rules: AccessRules): readonly string[] {
  return [...rules.roles.values()].flatMap(({ approvals }) => approvals)
}

/** `claims` are the names that sessions need. */
export function accessOf(
  access: RawAccess | undefined,
  targets: AccessTargets,
  claims: readonly string[],
): AccessRules {
  const raw = access ?? accessSchema.parse({})
  return {
    roles: access === undefined ? new Map() : rulesOf(raw),
    targets: new Map(
      [...targets].map(([name, { production, approvers, requesters, offers }]) => [
        name,
        { production, approvers: mapOf(approvers), requesters, roles: offers },
      ]),
    ),
    teams: new Map(
      Object.entries(raw.teams).map(([group, team]) => [group, mapOf(team.approvers)]),
    ),
    approvers: mapOf(raw.approvers),
    defaultMs: raw.defaultDuration,
    longestUnapprovedMs: raw.longestUnapproved,
    longestMs: raw.longest,
    pendingMs: raw.pendingFor,
    administrators: raw.administrators,
    auditors: raw.auditors,
    claims,
  }
}

function rulesOf(raw: RawAccess): ReadonlyMap<string, ApprovalRule> {
  const rules = new Map<string, ApprovalRule>()
  for (const role of new Set([...defaults.keys(), ...Object.keys(raw.rules)])) {
    const usual = defaults.get(role)
    const own = raw.rules[role] ?? {}
    if (own === 'off') continue
    rules.set(role, {
      approvals: own.approvals ?? usual?.approvals ?? [],
      automatic: own.automatic === undefined ? usual?.automatic : automaticOf(own.automatic),
      services: own.services ?? usual?.services ?? true,
      longestMs: own.longest ?? raw.longest,
      requesters: own.requesters,
    })
  }
  return rules
}

function automaticOf(
  raw: 'off' | { readonly upTo: number; readonly production: boolean },
): ApprovalRule['automatic'] {
  return raw === 'off' ? undefined : { upToMs: raw.upTo, production: raw.production }
}

/** A Map, not an object: names of groups and functions come from elsewhere. */
function mapOf<T>(record: Readonly<Record<string, T>>): ReadonlyMap<string, T> {
  return new Map(Object.entries(record))
}
