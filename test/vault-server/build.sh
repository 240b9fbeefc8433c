#!/usr/bin/env bash
# Builds the tests' Vault server once, into a folder of the user's cache that is named after what it is
# made of, and prints the path of the program. Does nothing when that is there; fails, saying why, where
# it cannot be built. Every test file asks: a failure is not tried again within the hour.
set -euo pipefail
cd "$(dirname "$0")"

sum() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }
made_of="$(cat go.mod go.sum main.go | sum | cut -c1-16)"
folder="${XDG_CACHE_HOME:-$HOME/.cache}/pgwarden/vault-server-$made_of"
program="$folder/vault-server"

if [ ! -x "$program" ]; then
  command -v go >/dev/null || { echo 'NOT BUILT: there is no go on the PATH' >&2; exit 1; }
  if [ -n "$(find "$folder/failed" -mmin -60 2>/dev/null)" ]; then
    echo "NOT BUILT: it failed within the last hour, as $folder/failed says" >&2
    exit 1
  fi
  mkdir -p "$folder"
  echo 'building a Vault server for the tests, once; this takes some minutes' >&2
  # Under names of its own until it is whole: two may build at a time.
  if ! CGO_ENABLED=0 go build -mod=readonly -buildvcs=false -ldflags='-s -w' -o "$program.$$" . \
    2>"$folder/log.$$"; then
    mv "$folder/log.$$" "$folder/failed"
    echo "NOT BUILT: $(tail -n 3 "$folder/failed")" >&2
    exit 1
  fi
  mv "$program.$$" "$program"
  rm -f "$folder/log.$$" "$folder/failed"
fi
echo "$program"
