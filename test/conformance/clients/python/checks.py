"""What the Python clients share: where to connect, the lines to print, a limit for each check.
Ignorant of every driver. The contract is in ../../README.md."""

import hashlib
import json
import os
import signal
import sys
import time
import traceback

host = os.environ["CONFORMANCE_HOST"]
port = int(os.environ["CONFORMANCE_PORT"])
database = os.environ["CONFORMANCE_DATABASE"]
user = os.environ["CONFORMANCE_USER"]
password = os.environ["CONFORMANCE_PASSWORD"]
ca = os.environ["CONFORMANCE_CA"]
tls = os.environ["CONFORMANCE_TLS"] == "on"

ROWS = 100_000

# Every kind of value that a driver decodes by itself, and text in which a byte is no character.
SIMPLE = (
    "select 1 as one, 2.50::numeric(10,2) as price, null::text as nothing, 'ünï 😀' as text,"
    " true as yes, '2024-02-29'::date as day, array[1,null,3] as list, '\\x00ff'::bytea as bytes,"
    " 9007199254740993 as large, '{\"a\": [1]}'::jsonb as json"
)

limit_seconds = 30


class Unsupported(Exception):
    """The driver has no such feature."""


class TooLong(Exception):
    pass


def conninfo():
    """The keywords of libpq."""
    words = {
        "host": host,
        "port": port,
        "dbname": database,
        "user": user,
        "password": password,
        "connect_timeout": 10,
    }
    if tls:
        return words | {"sslmode": "verify-full", "sslrootcert": ca}
    return words | {"sslmode": "disable"}


def introduce(client, version):
    _print({"client": client, "version": version})


def run(checks, afterwards=lambda: None):
    """Each of (name, function): its return value is what was seen. Then `afterwards`, whatever it was."""

    def out_of_time(*_):
        raise TooLong(f"longer than {limit_seconds} s")

    signal.signal(signal.SIGALRM, out_of_time)
    for name, function in checks:
        signal.alarm(limit_seconds)
        try:
            report(name, "ok", function())
        except Unsupported as error:
            report(name, "unsupported", str(error))
        except BaseException as error:  # whatever it is, the next check is run
            traceback.print_exc()
            report(name, "failed", f"{type(error).__name__}: {error}".strip())
        finally:
            signal.alarm(0)
    afterwards()
    # A driver's threads and unfinished sessions shall not hold the result back.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def report(check, result, detail):
    text = detail if isinstance(detail, str) else repr(detail)
    _print({"check": check, "result": result, "detail": text})


def line(n):
    return f"line {n} ünï \\ \t end"


def digest(lines):
    """Of many rows: how many, and what was in them."""
    count, text = 0, hashlib.sha256()
    for each in lines:
        count += 1
        text.update(each.encode() if isinstance(each, str) else each)
        text.update(b"\n")
    return f"{count} {text.hexdigest()[:16]}"


def within(seconds, began):
    """Fails when more time has passed than that; the time itself is no part of what was seen."""
    took = time.monotonic() - began
    if took > seconds:
        raise TooLong(f"took {took:.1f} s, not {seconds}")


def _print(message):
    print(json.dumps(message, ensure_ascii=False), flush=True)
