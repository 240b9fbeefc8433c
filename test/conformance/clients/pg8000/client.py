"""pg8000: pure Python, extended protocol with a Flush behind nearly every message."""

import io
import ssl
import threading
import time

import checks
import pg8000.dbapi
import pg8000.exceptions
import pg8000.native


def settings():
    words = {
        "host": checks.host,
        "port": checks.port,
        "database": checks.database,
        "user": checks.user,
        "password": checks.password,
        "timeout": 25,
    }
    return words | {"ssl_context": ssl.create_default_context(cafile=checks.ca) if checks.tls else None}


def connect(**more):
    return pg8000.native.Connection(**(settings() | more))


def fields(error):
    """Of a server's error, what does not name a file of its source."""
    said = error.args[0]
    return {key: said[key] for key in sorted(said) if key in "SVCMDHPWn"}


def session():
    connection = connect(application_name="conformance")
    row = connection.run("select current_setting('application_name')")
    status = {
        name: connection.parameter_statuses[name]
        for name in ("server_version", "client_encoding", "DateStyle", "standard_conforming_strings")
    }
    connection.close()
    return row, status


def simple():
    connection = connect()
    row = connection.run(checks.SIMPLE)
    kinds = [(column["name"], column["type_oid"]) for column in connection.columns]
    connection.run("select 1; select 2 where false; select 'last'")
    return row, kinds, connection.row_count, connection.run("")


def prepared():
    connection = connect()
    statement = connection.prepare("select cast(:n as int) + 1, :text || '!'")
    rows = [statement.run(n=n, text=f"ünï {n}") for n in range(8)]
    columns = [column["name"] for column in statement.columns]
    statement.close()
    left = connection.run("select count(*) from pg_prepared_statements")
    connection.close()
    return rows, columns, left


def binary():
    raise checks.Unsupported("results and parameters are always text")


def batch():
    connection = pg8000.dbapi.connect(**settings())
    cursor = connection.cursor()
    cursor.execute("create temporary table batch (n int primary key, line text)")
    cursor.executemany(
        "insert into batch values (%s, %s)", [(n, checks.line(n)) for n in range(500)]
    )
    cursor.execute("select line from batch order by n")
    return checks.digest(row[0] for row in cursor.fetchall())


def transaction():
    connection = connect()
    seen = []
    connection.run("create temporary table steps (n int)")
    connection.run("begin")
    connection.run("insert into steps values (1)")
    connection.run("savepoint here")
    for text in ("select 1/0", "select 1"):
        try:
            connection.run(text)
        except pg8000.exceptions.DatabaseError as error:
            seen.append((error.args[0]["C"], connection._transaction_status))
    connection.run("rollback to savepoint here")
    connection.run("insert into steps values (:n)", n=2)
    connection.run("commit")
    connection.run("begin")
    connection.run("insert into steps values (3)")
    connection.run("rollback")
    return seen, connection.run("select n from steps order by n"), connection._transaction_status


def copy_in():
    connection = connect()
    connection.run("create temporary table loaded (n int, line text)")
    text = io.BytesIO("".join(f"{n}\tline {n} ünï\n" for n in range(checks.ROWS)).encode())
    connection.run("copy loaded from stdin", stream=text)
    count = connection.row_count
    row = connection.run("select count(*), sum(n), md5(string_agg(line, ',' order by n)) from loaded")
    try:
        connection.run("copy loaded from stdin", stream=io.BytesIO(b"1\tfine\nno number\tx\n"))
    except pg8000.exceptions.DatabaseError as error:
        return count, row, fields(error), connection.run("select 'usable'")
    raise AssertionError("an error was expected")


def copy_out():
    connection = connect()
    received = io.BytesIO()
    query = f"select n, 'line ünï ' || n from generate_series(1, {checks.ROWS}) n"
    connection.run(f"copy ({query}) to stdout", stream=received)
    return connection.row_count, checks.digest(received.getvalue().splitlines())


def cursor():
    """The driver reads every result whole; a cursor of SQL it is."""
    connection = connect()
    connection.run("begin")
    connection.run("declare parts cursor for select n from generate_series(1, 10000) n")
    numbers = []
    while rows := connection.run("fetch forward 500 from parts"):
        numbers += [str(row[0]) for row in rows]
    connection.run("close parts")
    connection.run("commit")
    return checks.digest(numbers)


def notify():
    # The driver reads a notification's text as ASCII.
    listener, speaker = connect(), connect()
    listener.run("listen conformance_pg8000")
    speaker.run("select pg_notify('conformance_pg8000', :text)", text="to another")
    pid = speaker.run("select pg_backend_pid()")[0][0]
    began = time.monotonic()
    while not listener.notifications:
        checks.within(5, began)
        listener.run("select 1")
    return [(channel, text, sender == pid) for sender, channel, text in listener.notifications]


def cancel():
    """The driver has no CancelRequest; pg_cancel_backend by the process id that it was told."""
    connection, other = connect(), connect()
    pid = connection.run("select pg_backend_pid()")[0][0]
    began = time.monotonic()
    timer = threading.Timer(0.7, lambda: other.run("select pg_cancel_backend(:pid)", pid=pid))
    timer.start()
    try:
        connection.run("select pg_sleep(30)")
    except pg8000.exceptions.DatabaseError as error:
        checks.within(5, began)
        timer.join()
        return fields(error), connection.run("select 'usable'")
    raise AssertionError("it was not cancelled")


def notices():
    connection = connect()
    connection.run("do $$ begin raise notice 'ünï'; raise warning 'a warning'; end $$")
    connection.run("select speak(:text)", text="pg8000")
    return [
        {key: notice[key].decode() for key in sorted(notice) if key in (b"S", b"C", b"M", b"D", b"H")}
        for notice in connection.notices
    ]


def many():
    connections = [connect() for _ in range(10)]
    answers = [each.run("select cast(:n as int) * 2", n=n) for n, each in enumerate(connections)]
    pids = {each.run("select pg_backend_pid()")[0][0] for each in connections}
    return answers, len(pids)


def fails():
    connection = connect()
    seen = []
    connection.run("create temporary table things (id int constraint one_id primary key)")
    connection.run("insert into things values (1)")
    for text, parameters in (
        ("insert into things values (:n)", {"n": 1}),
        ("select 'ünï' from things whre true", {}),
        ("select nothing from things where id = :n", {"n": 1}),
        ("select cast(:n as int) / 0", {"n": 1}),
        ("do $$ begin raise exception 'x' using errcode = 'AB123', detail = 'd', hint = 'h'; end $$", {}),
    ):
        try:
            connection.run(text, **parameters)
        except pg8000.exceptions.DatabaseError as error:
            seen.append(fields(error))
    return seen


def large_objects():
    raise checks.Unsupported("pg8000 has no interface to them")


checks.introduce("pg8000", pg8000.__version__)
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
    ]
)
