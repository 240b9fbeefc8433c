// Lets a worker thread run from the TypeScript sources under test: what Node loads by itself is compiled
// on the way, with the compiler that the runner brings along. (The runner compiles what the tests
// import, and knows nothing of threads.) Node.js documentation, "Customization Hooks".

import { readFile } from 'node:fs/promises'
import { register } from 'node:module'
import { fileURLToPath } from 'node:url'

// Loaded twice: by `--import`, to register itself, and as the hooks.
const hooks = `${import.meta.url}?hooks`
if (!import.meta.url.endsWith('?hooks')) register(hooks)

export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context)
  const { transformSync } = await import('rolldown/utils')
  const file = fileURLToPath(url)
  const { code, errors } = transformSync(file, await readFile(file, 'utf8'))
  if (errors.length > 0) throw new Error(errors[0].message)
  return { format: 'module', source: code, shortCircuit: true }
}
