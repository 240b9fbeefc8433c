#!/usr/bin/env node
// As much of the `vault` command as docs/vault.md uses, over Vault's HTTP interface: so the document's shell
// blocks can be run as they stand where there is a server and no command line. VAULT_ADDR and VAULT_TOKEN
// say where and who.

import { readFileSync } from 'node:fs'

const address = process.env['VAULT_ADDR']
const token = process.env['VAULT_TOKEN'] ?? ''
const words = process.argv.slice(2)

/** `-name=value` and `-name` from anywhere among the words. */
const flags = new Map(
  words
    .filter((word) => /^-./.test(word))
    .map(
      (word) =>
        /** @type {const} */ ([word.replace(/^-+|=.*$/gs, ''), word.split('=').slice(1).join('=')]),
    ),
)
const [command, ...rest] = words.filter((word) => !/^-./.test(word))

/** `name=value`, `name=@file`. A field that is written twice becomes a list. */
function fields(pairs) {
  const body = {}
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    const [name, value] = [pair.slice(0, at), pair.slice(at + 1)]
    body[name] = value.startsWith('@') ? readFileSync(value.slice(1), 'utf8') : value
  }
  return body
}

/** Again for a moment where a mount of version 2 is still being made ready. */
async function ask(method, path, body, tries = 50) {
  const reply = await fetch(`${address}/v1/${path}`, {
    method,
    headers: {
      'X-Vault-Token': token,
      ...(flags.has('wrap-ttl') ? { 'X-Vault-Wrap-TTL': flags.get('wrap-ttl') } : {}),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await reply.text()
  if (text.includes('Upgrading from non-versioned') && tries > 0) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    return ask(method, path, body, tries - 1)
  }
  if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${text.trim()}`)
  return text === '' ? {} : JSON.parse(text)
}

function print(answer) {
  const said = { ...answer.data, ...answer.auth, ...answer.wrap_info }
  const named = { token: answer.auth?.client_token, wrapping_token: answer.wrap_info?.token }
  const field = flags.get('field')
  if (field === undefined) process.stdout.write(`${JSON.stringify(said)}\n`)
  else process.stdout.write(String(named[field] ?? said[field]))
}

async function run() {
  switch (command) {
    case 'read':
      return print(await ask('GET', rest[0]))
    case 'write':
      return print(await ask('POST', rest[0], fields(rest.slice(1))))
    case 'secrets':
    case 'auth': {
      const type = rest[1]
      const place = command === 'secrets' ? 'sys/mounts' : 'sys/auth'
      const version = flags.get('version')
      const options = version === undefined ? {} : { options: { version } }
      return print(await ask('POST', `${place}/${flags.get('path') ?? type}`, { type, ...options }))
    }
    case 'policy':
      return print(
        await ask('PUT', `sys/policies/acl/${rest[1]}`, { policy: readFileSync(rest[2], 'utf8') }),
      )
    case 'token':
      return print(
        await ask('POST', flags.has('orphan') ? 'auth/token/create-orphan' : 'auth/token/create', {
          policies: [flags.get('policy')],
          period: flags.get('period'),
          no_default_policy: flags.has('no-default-policy'),
        }),
      )
    case 'kv':
      return print(
        await ask('POST', `${flags.get('mount')}/data/${rest[1]}`, { data: fields(rest.slice(2)) }),
      )
    default:
      throw new Error(`this stand-in does not know: vault ${words.join(' ')}`)
  }
}

run().catch((error) => {
  process.stderr.write(`vault: ${error.message}\n`)
  process.exitCode = 2
})
