"""psql, with the scripts that people feed it, and at a terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import tempfile
import time

import checks
import programs

psql = programs.find("psql")
release = int(programs.version(psql).split(".")[0])
# Who one is at the server; through pgwarden that is another name than the one to log in with.
role = programs.run(psql, "-X", "-At", "-c", "select current_user")[0].strip()
folder = tempfile.mkdtemp(prefix="conformance-psql-")
rows = f"select n, 'line ünï ' || n as line from generate_series(1, {checks.ROWS}) n"


def script(text, *words, **more):
    """Both outputs of a script; it goes on after errors, as psql does."""
    return programs.run(psql, "-X", "-a", *words, text=text, **more)


def quietly(text):
    out, errors = programs.run(psql, "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", text=text)
    if errors != "":
        raise AssertionError(errors)
    return out


def session():
    # A table in newer releases, as wide as the names in it, and with a process id.
    said, _ = programs.run(psql, "-X", "-At", "-c", "\\conninfo")
    said = re.sub(r"^Backend PID.*\n|\b" + str(checks.port) + r"\b", "", said, flags=re.MULTILINE)
    return said, script(
        "\\encoding\n\\echo :SERVER_VERSION_NUM :DBNAME :USER :ENCODING\n"
        "select current_setting('application_name'), current_setting('work_mem');\n"
        "\\c\nselect 'connected again';\n\\timing on\n\\timing off\n",
        PGOPTIONS="-c work_mem=5MB",
    )


def simple():
    return script(
        f"{checks.SIMPLE};\n\\x\n{checks.SIMPLE};\n\\x\n{checks.SIMPLE} \\gdesc\n"
        "select 'a' as r, 'x' as c, 1 as v union all select 'b', 'y', 2 \\crosstabview\n"
        "select 7 as seven, null as nothing \\gset got_\n\\echo :got_seven :{?got_nothing}\n"
        "select format('select %s as n', n) from generate_series(1, 3) n \\gexec\n"
        "select :'got_seven' || 'it''s' \\g (format=csv)\n"
        "\\if :got_seven\nselect 'then';\n\\else\nselect 'else';\n\\endif\n"
        ";\nselect;\ntable pg_temp.nowhere;\n\\echo :SQLSTATE :ROW_COUNT :ERROR\n"
    )


def prepared():
    text = "prepare addition(int, text) as select $1 + 1, $2 || '!';\n"
    text += "".join(f"execute addition({n}, 'ünï');\n" for n in range(4))
    if release >= 16:
        text += "".join(f"select $1::int + 1 \\bind {n} \\g\n" for n in range(4))
    if release >= 18:
        text += "select $1::int \\parse named\n\\bind_named named 5 \\g\n\\close_prepared named\n"
        text += "\\startpipeline\nselect $1 \\bind 1 \\sendpipeline\n\\flushrequest\n\\getresults\n"
        text += "select $1 \\bind 2 \\sendpipeline\n\\endpipeline\n"
    return script(text + "deallocate all;\nexecute addition(1, 'x');\n")


def binary():
    raise checks.Unsupported("it shows text only")


def batch():
    return script(
        "create temporary table t (n int);\n"
        "insert into t values (1)\\; insert into t values (2)\\; select count(*) from t;\n"
        "insert into t values (3)\\; select 1/0\\; select 'never';\n"
        "select count(*) from t;\nbegin\\; select 1\\; commit\\; select 2;\n"
    )


def transaction():
    steps = (
        "begin;\ninsert into t values (1);\nselect 1/0;\nselect 1;\n"
        "savepoint here;\nrollback;\nselect count(*) from t;\n"
        "begin;\ninsert into t values (2);\nsavepoint here;\nselect nothing;\n"
        "rollback to here;\ncommit;\nselect count(*) from t;\n"
    )
    table = "create temporary table t (n int);\n"
    return (
        script(table + steps),
        script(table + "\\set ON_ERROR_ROLLBACK on\n" + steps),
        script(table + "\\set AUTOCOMMIT off\ncommit;\n" + steps),
        programs.run(psql, "-X", "-1", text=table + "select 1/0;\nselect 1;\n", expect=None),
    )


def copy_in():
    file = os.path.join(folder, "in.tsv")
    with open(file, "w", encoding="utf-8") as out:
        out.writelines(f"{n}\tline {n} ünï\n" for n in range(checks.ROWS))
    return script(
        "create temporary table loaded (n int, line text);\n"
        f"\\copy loaded from '{file}'\n"
        "copy loaded from stdin;\n-1\tinline\n\\.\n"
        "copy loaded from stdin with (format csv);\n-2,\"a\nb\"\n\\.\n"
        "copy loaded from stdin;\nno number\tx\n-3\ty\n\\.\n"
        "select 'between'\\; copy loaded from stdin\\; select 'behind';\n-4\tz\n\\.\n"
        "select count(*), sum(n), md5(string_agg(line, ',' order by n)) from loaded;\n"
    )[0].replace(file, "FILE")


def copy_out():
    file = os.path.join(folder, "out")
    seen = []
    for options in ("", "with (format csv, header)", "with (format binary)"):
        out, _ = script(f"\\copy ({rows}) to '{file}' {options}\n")
        with open(file, "rb") as written:
            seen.append((out.replace(file, "FILE"), checks.digest(written)))
    out = quietly(f"copy ({rows}) to stdout;\n")
    return seen, checks.digest(out.splitlines())


def cursor():
    out, errors = script(f"\\set FETCH_COUNT 700\n{rows} limit 10000;\nselect 1 / (800 - n) from "
                         "generate_series(1, 1000) n;\nselect 'usable';\n", "-At")
    by_hand = quietly(
        "begin;\ndeclare parts scroll cursor for select generate_series(1, 10000);\n"
        + "fetch 700 from parts;\n" * 16 + "fetch absolute 5000 from parts;\nfetch prior from parts;\ncommit;\n"
    )
    return checks.digest(out.splitlines()), errors, checks.digest(by_hand.splitlines())


def notify():
    return script(
        "listen conformance_psql;\nnotify conformance_psql, 'ünï';\nnotify conformance_psql;\n"
        "begin;\nnotify conformance_psql, 'at commit';\nselect 'not yet';\ncommit;\n"
        "unlisten *;\nnotify conformance_psql, 'to nobody';\n"
    )


def cancel():
    """At a terminal, by Ctrl-C, and the session goes on."""
    verbosity = ("-v", "VERBOSITY=sqlstate")
    child, terminal = pty.fork()
    if child == 0:
        os.execve(psql, [psql, "-X", "-n", "-At", "-P", "pager=off", *verbosity], programs.environment)
    said = ""

    def wait_for(text):
        nonlocal said
        while text not in said:
            if not select.select([terminal], [], [], 5)[0]:
                raise AssertionError(f"it never said {text!r}, but {said!r}")
            said += os.read(terminal, 65536).decode()

    try:
        wait_for("=#")
        os.write(terminal, b"select pg_sleep(30), 'mark' as asked;\n")
        time.sleep(1)
        os.write(terminal, b"\x03")
        wait_for("57014")
        os.write(terminal, b"select 'us' || 'able';\n")
        wait_for("usable")
        os.write(terminal, b"\\q\n")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return "Cancel request sent" in said, [line for line in said.splitlines() if "ERROR" in line]


def notices():
    return script(
        "do $$ begin raise notice 'ünï'; raise warning 'w'; raise info 'i'; end $$;\n"
        "select speak('psql');\nset client_min_messages = error;\nselect speak('unheard');\n"
        "drop table if exists nowhere;\nreset client_min_messages;\ndrop table if exists nowhere;\n"
    )


def many():
    started = [
        subprocess.Popen(
            [psql, "-X", "-At", "-c", f"select {n} * 2 from pg_sleep(0.2)"],
            env=programs.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for n in range(10)
    ]
    return [each.communicate(timeout=20)[0] for each in started]


def fails():
    return script(
        "create temporary table things (id int constraint one_id primary key);\n"
        "insert into things values (1);\ninsert into things values (1);\n\\echo :SQLSTATE\n"
        "select 'ünï'\n  from things whre true;\n\\echo :LAST_ERROR_SQLSTATE\n"
        "select nothing from things;\nselect upper(1, 2);\n"
        "do $$ begin raise exception 'x' using errcode = 'AB123', detail = 'd', hint = 'h'; end $$;\n"
        "\\echo :SQLSTATE :LAST_ERROR_MESSAGE\n\\set VERBOSITY terse\nselect nothing;\n"
    )


def large_objects():
    file, back = os.path.join(folder, "object"), os.path.join(folder, "back")
    with open(file, "wb") as out:
        out.write(bytes(range(256)) * 4000)
    out, errors = programs.run(
        psql,
        "-X",
        "-At",
        text=f"\\lo_import '{file}' 'a comment'\n\\lo_export :LASTOID '{back}'\n"
        "select count(*), sum(length(data)) from pg_largeobject where loid = :LASTOID;\n"
        "\\lo_unlink :LASTOID\nselect count(*) from pg_largeobject;\n\\lo_unlink 1\n",
    )
    with open(back, "rb") as written:
        content = checks.digest([written.read()])
    return re.sub(r"(lo_\w+) \d+", r"\1", out), errors, content


def describe():
    """The queries behind the backslash commands."""
    return script(
        "create table public.described (id int primary key, name text not null default 'x');\n"
        "comment on table public.described is 'what is described';\n"
        "\\d\n\\d described\n\\d+ described\n\\dt+ public.*\n\\di\n\\df speak\n\\sf speak\n\\dn\n\\dx\n\\dT\n"
        "\\d pg_catalog.pg_class\n\\do +\n\\dC\n\\ddp\n\\dconfig work_mem\n\\z described\n"
        "drop table public.described;\n",
        "-At",
    )[0].replace(role, "ROLE")


def one_time_token():
    """Good for one sitting."""
    own = {
        "PGUSER": os.environ["CONFORMANCE_ONE_TIME_USER"],
        "PGPASSWORD": os.environ["CONFORMANCE_ONE_TIME_PASSWORD"],
    }
    return programs.run(psql, "-X", "-q", "-At", text="select 'in';\n\\c\nselect 'again';\n", **own)


checks.introduce("psql", programs.version(psql))
checks.run(
    [
        ("connect", session),
        ("simple", simple),
        ("prepared", prepared),
        ("binary", binary),
        ("batch", batch),
        ("transaction", transaction),
        ("copy_in", copy_in),
        ("copy_out", copy_out),
        ("cursor", cursor),
        ("notify", notify),
        ("cancel", cancel),
        ("notices", notices),
        ("many", many),
        ("errors", fails),
        ("large_objects", large_objects),
        ("describe", describe),
        ("one_time_token", one_time_token),
    ]
)
