# Logins.
path "database/creds/shop-read_only" { capabilities = ["read"] }
path "database/creds/shop-read_limited_write" { capabilities = ["read"] }
path "database/creds/shop-read_full_write" { capabilities = ["read"] }
path "database/creds/shop-admin" { capabilities = ["read"] }
path "database/static-creds/shop-monitor" { capabilities = ["read"] }
path "secret/data/pgwarden/legacy" { capabilities = ["read"] }

# Their leases, and nobody else's.
path "sys/leases/renew" {
  capabilities = ["update"]
  allowed_parameters = {
    "lease_id"  = ["database/creds/shop-*"]
    "increment" = []
  }
}
path "sys/leases/revoke" {
  capabilities = ["update"]
  allowed_parameters = {
    "lease_id" = ["database/creds/shop-*"]
    "sync"     = []
  }
}

# The key that signs checkpoints of the audit journal, where journal.checkpoints.key names one.
path "transit/sign/pgwarden-audit" { capabilities = ["update"] }
path "transit/keys/pgwarden-audit" { capabilities = ["read"] }

# Its own token.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }

# For pgwarden doctor.
path "sys/capabilities-self" { capabilities = ["update"] }
