// The systemd unit, as systemd itself judges it where it is installed, and what has to agree with the rest of pgwarden.

import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const path = 'deploy/systemd/pgwarden.service'
const unit = readFileSync(path, 'utf8')
const isInstalled = spawnSync('systemd-analyze', ['--version']).status === 0

function settings(name: string): readonly string[] {
  return [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value = '']) => value)
}

if (!isInstalled) console.warn('NOT RUN: systemd on its unit: systemd-analyze is not installed')

describe.skipIf(!isInstalled)('systemd', () => {
  it('scores the unit as one that is exposed to little', () => {
    const words = ['security', '--offline=true', '--threshold=15', '--no-pager', path]
    const { status, stdout } = spawnSync('systemd-analyze', words, { encoding: 'utf8' })
    // The threshold is in tenths: 1.5 of 10.
    expect([status, stdout.trim().split('\n').at(-1)]).toEqual([0, expect.stringContaining('OK')])
  })

  it('knows the groups of system calls that are named', () => {
    const groups =
      settings('SystemCallFilter')
        .join(' ')
        .match(/@[\w-]+/g) ?? []
    expect(groups).not.toEqual([])
    const known = execFileSync('systemd-analyze', ['syscall-filter', '--no-pager', ...groups])
    for (const group of groups) expect(known.toString()).toContain(group)
  })
})

it('a stop goes to the first process as the signal that drains, and kills later than that takes', () => {
  expect(settings('KillMode')).toEqual(['mixed'])
  expect(settings('TimeoutStopSec')).toEqual(['6min'])
})

it('a reload checks the file before the signal is sent', () => {
  const [check, signal] = settings('ExecReload')
  expect(check).toMatch(/ check-config \/etc\/pgwarden\/pgwarden\.yaml$/)
  expect(signal).toBe('/bin/kill -HUP $MAINPID')
})

it('only the directory of the journal can be written', () => {
  expect(settings('ProtectSystem')).toEqual(['strict'])
  expect(settings('StateDirectory')).toEqual(['pgwarden'])
  expect(settings('ReadWritePaths')).toEqual([])
})
