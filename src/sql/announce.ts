// Names and words that tell of a secret beside them: of options, settings, functions and their arguments,
// and of SQL, a connection string or a URL inside of a constant. When in doubt a secret is told of: too
// little in a journal is a nuisance, a password in it is a breach. Ignorant of trees and places.
// Nothing here can be made to backtrack: every expression reads on, or gives up, at each character.

const secretNames =
  /passw|passphrase|pass$|\bpw$|pwd|secret|token|credential|bearer|(?:api|private|access|account|encryption|master|shared|signing)_?key|conninfo|connstr|dsn\b|jwt|cookie/i

/** Settings and options that hold a connection string, a command of the shell, or the headers of a request. */
const tellingNames = /_command$|^program$|^command$|headers?$|^authorization$|^key$|^ur[il]$/i

/** How passwords are kept, whether one is needed, whether a command may be run again: no secrets. */
const harmlessNames =
  /^(?:password_encryption|password_required|ssl_passphrase_command_supports_reload)$/i

/** Of a setting, an option, or an argument of a function. */
export function soundsSecret(name: string): boolean {
  return (secretNames.test(name) || tellingNames.test(name)) && !harmlessNames.test(name)
}

/**
 * Functions whose arguments hold secrets: of dblink (connection strings, and SQL for elsewhere), pgcrypto,
 * and what replication extensions are told of other nodes; and whatever is named after a secret.
 */
const secretFunctions =
  /^(?:dblink|crypt$|hmac$|pgp_|raw_|encrypt|decrypt|pgsodium|aws_|http_|(?:create|alter)_(?:node|subscription)|node_create|sub_create|pg_tde_)/i

export function takesSecrets(functionName: string): boolean {
  return secretFunctions.test(functionName) || secretNames.test(functionName)
}

const words =
  /passw|passphrase|pwd|secret|token|credential|_key|apikey|mapping|subscription|connection|conninfo|dsn|dblink|program|crypt|pgp_|hmac|jwt|cookie|:\/\//i

/** Whether a text has a word in it without which it tells of no secret. */
export function mayTellSecret(text: string): boolean {
  return words.test(text)
}

const moreWords = /\brole|\buser|\bgroup|\bserver|\bforeign|\boption|_command|\bpass\b|_header/i

/** The same for a text that cannot be parsed, in which the telling word may be the one that is misspelt. */
export function mightTellSecret(text: string): boolean {
  return mayTellSecret(text) || moreWords.test(text)
}

const assigned = /(?:passw(?:or)?d|passphrase|pwd|secret|token|_key)\s*=/i
const named = /(?:passw(?:or)?d|passphrase|secret|token|_key)["'\s]*(?:=|\bto\b|['"$%]|\be')/i
const inUrl = /:\/\/[^\s:@/'"]*:[^\s@/'"]+@/
const called = /\b(?:dblink\w*|crypt|hmac|pgp_\w+|(?:en|de)crypt\w*)\s*\(/i
const rolePassword = /\b(?:create|alter)\s+(?:role|user|group)\b/i
const elsewhere = /\b(?:user\s+mapping|subscription)\b/i
/** `' PASSWORD '`: another constant goes on with it. */
const leftOpen = /\bpassword\s+'+$/i
const program = /\bprogram\s*['$]/i

/**
 * Whether a constant or a comment holds a secret, or the part of a statement that another constant
 * completes with one: `'ALTER ROLE bob PASSWORD ' || quote_literal('...')`.
 */
export function tellsSecret(inner: string): boolean {
  if (!mayTellSecret(inner)) return false
  return (
    assigned.test(inner) ||
    leftOpen.test(inner) ||
    (rolePassword.test(inner) && /password/i.test(inner)) ||
    inUrl.test(inner) ||
    called.test(inner) ||
    (elsewhere.test(inner) && /\b(?:options|connection)\b/i.test(inner)) ||
    (program.test(inner) && /\bcopy\b/i.test(inner)) ||
    (/\b(?:set|alter|option)/i.test(inner) && named.test(inner))
  )
}
