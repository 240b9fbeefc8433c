// A hook for Node's module loader: the program gets no-records.js in the place of the module that describes
// statements. Node.js documentation: "Modules: node:module API", customization hooks.

import type { ResolveHook } from 'node:module'

const described = new URL('../../dist/audit/statement-record.js', import.meta.url).href
const nothing = new URL('no-records.js', import.meta.url).href

export const resolve: ResolveHook = async (specifier, context, next) => {
  const resolved = await next(specifier, context)
  return resolved.url === described ? { ...resolved, url: nothing } : resolved
}
