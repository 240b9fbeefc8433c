#!/usr/bin/env bash
# Fetches the tests' Kafka broker once, into a folder of the user's cache that is named after what it is
# made of, and prints that folder. Does nothing when it is there; fails, saying why, where it cannot be
# had. Every test file asks: a failure is not tried again within the hour.
set -euo pipefail
cd "$(dirname "$0")"

sum() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }
folder="${XDG_CACHE_HOME:-$HOME/.cache}/pgwarden/kafka-server-$(sum <pom.xml | cut -c1-16)"

command -v java >/dev/null || { echo 'NOT FETCHED: there is no java on the PATH' >&2; exit 1; }
if [ ! -d "$folder/jars" ]; then
  command -v mvn >/dev/null || { echo 'NOT FETCHED: there is no mvn on the PATH' >&2; exit 1; }
  if [ -n "$(find "$folder/failed" -mmin -60 2>/dev/null)" ]; then
    echo "NOT FETCHED: it failed within the last hour, as $folder/failed says" >&2
    exit 1
  fi
  mkdir -p "$folder"
  echo 'fetching a Kafka broker for the tests, once' >&2
  # Under names of its own until it is whole: two may fetch at a time.
  if ! mvn -q -B dependency:copy-dependencies -DoutputDirectory="$folder/jars.$$" \
    >"$folder/log.$$" 2>&1; then
    mv "$folder/log.$$" "$folder/failed"
    rm -rf "$folder/jars.$$"
    echo "NOT FETCHED: $(tail -n 3 "$folder/failed")" >&2
    exit 1
  fi
  mv -T "$folder/jars.$$" "$folder/jars" 2>/dev/null || rm -rf "$folder/jars.$$"
  rm -f "$folder/log.$$" "$folder/failed"
fi
echo "$folder/jars"
