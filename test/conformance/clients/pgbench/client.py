"""pgbench: initialisation by COPY, and its load in three protocols and in a pipeline."""

import os
import re
import tempfile

import checks
import programs

pgbench = programs.find("pgbench")
psql = programs.find("psql")


def load(*words, expect=0):
    """What was processed; how fast is no part of it."""
    out, errors = programs.run(pgbench, "-n", "--random-seed=42", *words, expect=expect)
    counts = re.findall(r"^(?:number of|query mode|scaling).*$", out, re.MULTILINE)
    return counts, re.sub(r"^pgbench \(.*\n", "", errors)


def own_script(text, *words, expect=0):
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(text)
        file.flush()
        counts, errors = load("-f", file.name, *words, expect=expect)
        return counts, errors.replace(file.name, "FILE")


def state():
    """The same after the same load, where one client ran it."""
    text = "select count(*), sum(delta), sum(aid), (select sum(abalance) from pgbench_accounts)"
    return programs.run(psql, "-X", "-At", "-c", f"{text} from pgbench_history")[0]


def initialise():
    """100,000 accounts by COPY."""
    _, errors = programs.run(pgbench, "-i", "-q", "-s", "1")
    steps = [line for line in re.split(r"[\r\n]+", errors) if re.match(r"[a-z ]+\.\.\.$", line)]
    text = "select count(*), sum(aid) from pgbench_accounts"
    return steps, programs.run(psql, "-X", "-At", "-c", text)[0]


def simple():
    return load("-M", "simple", "-t", "200"), state()


def extended():
    return load("-M", "extended", "-t", "200"), state()


def prepared():
    return load("-M", "prepared", "-t", "200"), state()


def many():
    loads = [load("-M", mode, "-c", "10", "-j", "2", "-t", "20", "-S") for mode in ("simple", "prepared")]
    return loads, load("-M", "extended", "-c", "10", "-t", "5", "-C", "-S")


def batch():
    text = "\\startpipeline\nselect 1;\nselect abalance from pgbench_accounts where aid = 7;\n"
    text += "begin;\nupdate pgbench_tellers set tbalance = 0 where tid = 1;\ncommit;\n\\endpipeline\n"
    return [own_script(text, "-M", mode, "-c", "2", "-t", "50") for mode in ("extended", "prepared")]


def transaction():
    """Serialisable transactions that get into each other's way are tried again."""
    text = (
        "begin isolation level serializable;\nupdate pgbench_branches set bbalance = bbalance + 1;\n"
        "commit;\n"
    )
    counts, errors = own_script(text, "-c", "4", "-t", "10", "--max-tries=100")
    return [line for line in counts if "actually processed" in line or "failed" in line], errors


def fails():
    return own_script("select 1 / (random() * 0)::int;\n", "-t", "1", expect=2)


def unsupported():
    raise checks.Unsupported("a load generator has no use for it")




checks.introduce("pgbench", programs.version(pgbench))
checks.run(
    [
        ("copy_in", initialise),
        ("connect", lambda: load("-S", "-t", "1", "-C")),
        ("simple", simple),
        ("extended", extended),
        ("prepared", prepared),
        ("batch", batch),
        ("transaction", transaction),
        ("many", many),
        ("errors", fails),
        *((name, unsupported) for name in ("binary", "copy_out", "cursor", "notify", "cancel")),
        *((name, unsupported) for name in ("notices", "large_objects")),
    ],
    afterwards=lambda: programs.run(pgbench, "-i", "-I", "d"),
)
