// How SCRAM writes a password down before it is hashed, so that the same characters typed in two ways
// are one password. As PostgreSQL does it: a password that the profile forbids is taken as it is.
// RFC 4013; src/common/saslprep.c in PostgreSQL.

const nonAsciiSpace = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g
const mappedToNothing =
  /\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/g

/** `password` prepared; unchanged where it is ASCII, or has characters that may not be in one. */
export function saslprep(password: string): string {
  if (/^[ -~]*$/.test(password)) return password
  const prepared = password
    .replace(nonAsciiSpace, ' ')
    .replace(mappedToNothing, '')
    .normalize('NFKC')
  return prepared === '' || /\p{C}/u.test(prepared) ? password : prepared
}
