"""asyncpg: its own wire protocol, always binary, with Flush in place of Sync where it waits."""

import asyncio
import ssl
import time

import asyncpg
import checks


def settings(**more):
    words = {
        "host": checks.host,
        "port": checks.port,
        "database": checks.database,
        "user": checks.user,
        "password": checks.password,
        "timeout": 10,
        "ssl": verifying() if checks.tls else False,
    }
    return words | more


def verifying():
    context = ssl.create_default_context(cafile=checks.ca)
    # Without it PostgreSQL refuses TLS that begins by itself.
    context.set_alpn_protocols(["postgresql"])
    return context


async def connect(**more):
    return await asyncpg.connect(**settings(**more))


def check(work):
    """A check from a coroutine that is given a connection of its own."""

    async def whole():
        connection = await connect()
        try:
            return await work(connection)
        finally:
            await connection.close(timeout=5)

    return lambda: asyncio.run(whole())


async def session(_):
    connection = await connect(
        server_settings={"application_name": "conformance ünï", "work_mem": "5MB"}
    )
    row = await connection.fetchrow(
        "select current_setting('application_name'), current_setting('work_mem'), pg_backend_pid()"
    )
    parameters = connection.get_settings()
    seen = tuple(row)[:2], row[2] == connection.get_server_pid(), connection.get_server_version()
    await connection.close()
    return seen, parameters.client_encoding, parameters.DateStyle, parameters.TimeZone


async def simple(connection):
    status = await connection.execute("select 1; create temporary table t (n int); drop table t")
    row = await connection.fetchrow(checks.SIMPLE)
    return status, tuple(row), await connection.fetch("")


async def prepared(connection):
    statement = await connection.prepare("select $1::int + 1, $2 || '!'")
    rows = [tuple(await statement.fetchrow(n, f"ünï {n}")) for n in range(8)]
    kinds = [each.name for each in statement.get_parameters()]
    columns = [(each.name, each.type.name) for each in statement.get_attributes()]
    await connection.execute("create temporary table late (n int)")
    await connection.fetch("select * from late")
    await connection.execute("alter table late add m int")
    # The cached plan's result type has changed: asyncpg prepares again by itself.
    again = await connection.fetch("select * from late")
    await connection.reload_schema_state()
    return rows, kinds, columns, again


async def binary(connection):
    await connection.execute("create type pg_temp.mood as enum ('glad', 'sad')")
    await connection.execute("create type pg_temp.pair as (a int, b pg_temp.mood)")
    row = await connection.fetchrow(
        "select $1::bytea, $2::float8[], $3::timestamptz, $4::interval, $5::uuid, $6::pg_temp.pair,"
        " int4range(1, 5), '10.0.0.0/8'::cidr",
        b"\x00\xff",
        [2.5, None],
        None,
        None,
        "00000000-0000-0000-0000-000000000001",
        (1, "glad"),
    )
    return [repr(value) for value in row]


async def batch(connection):
    await connection.execute("create temporary table batch (n int primary key, line text)")
    await connection.executemany(
        "insert into batch values ($1, $2)", [(n, checks.line(n)) for n in range(1000)]
    )
    seen = []
    try:
        await connection.executemany(
            "insert into batch values ($1, $2)", [(n, "x") for n in (2000, 2001, 1, 2002)]
        )
    except asyncpg.UniqueViolationError as error:
        seen.append((error.sqlstate, error.detail))
    rows = await connection.fetchmany(
        "insert into batch values ($1, $2) returning n", [(n, "x") for n in (3000, 3001)]
    )
    seen += [tuple(row) for row in rows]
    lines = await connection.fetch("select line from batch order by n")
    return seen, checks.digest(row["line"] for row in lines)


async def transaction(connection):
    seen = []
    await connection.execute("create temporary table steps (n int)")
    async with connection.transaction(isolation="serializable"):
        await connection.execute("insert into steps values (1)")
        try:
            async with connection.transaction():
                await connection.execute("insert into steps values (2)")
                await connection.fetch("select 1/0")
        except asyncpg.DivisionByZeroError as error:
            seen.append(error.sqlstate)
        await connection.execute("insert into steps values (3)")
    await connection.execute("begin")
    for text in ("select nothing", "select 1"):
        try:
            await connection.fetch(text)
        except asyncpg.PostgresError as error:
            seen.append((error.sqlstate, connection.is_in_transaction()))
    await connection.execute("rollback")
    rows = await connection.fetch("select n from steps order by n")
    return seen, [row["n"] for row in rows], connection.is_in_transaction()


async def copy_in(connection):
    await connection.execute("create temporary table loaded (n int, line text)")
    statuses = [
        await connection.copy_records_to_table(
            "loaded", records=((n, f"line {n} ünï") for n in range(checks.ROWS)), timeout=20
        )
    ]
    row = await connection.fetchrow(
        "select count(*), sum(n), md5(string_agg(line, ',' order by n)) from loaded"
    )

    async def wrong():
        for _ in range(2000):
            yield b"1\tfine\n" * 100
        yield b"no number\tx\n"

    async def gives_up():
        yield b"1\tfine\n"
        raise RuntimeError("the client gives up")

    for source in (wrong(), gives_up()):
        try:
            await connection.copy_to_table("loaded", source=source)
        except asyncpg.PostgresError as error:
            statuses.append((error.sqlstate, str(error)))
        except RuntimeError as error:
            statuses.append(str(error))
    return statuses, tuple(row), await connection.fetchval("select count(*) from loaded")


async def copy_out(connection):
    received = bytearray()

    async def collect(data):
        received.extend(data)

    query = f"select n, 'line ünï ' || n from generate_series(1, {checks.ROWS}) n"
    statuses = [await connection.copy_from_query(query, output=collect)]
    text = checks.digest(bytes(received).splitlines())
    received.clear()
    statuses.append(await connection.copy_from_query(query, output=collect, format="binary"))
    return statuses, text, checks.digest([bytes(received)])


async def cursor(connection):
    async with connection.transaction():
        numbers = [
            row["n"]
            async for row in connection.cursor(
                "select n from generate_series(1, 10000) n where n <> $1", 5000, prefetch=500
            )
        ]
        by_hand = await connection.cursor("select generate_series(1, 10000) as n")
        skipped = await by_hand.forward(9000)
        rest = [row["n"] for row in await by_hand.fetch(2000)]
    return checks.digest(map(str, numbers)), skipped, checks.digest(map(str, rest))


async def notify(connection):
    heard = asyncio.Queue()
    speaker = await connect()
    own = {speaker.get_server_pid(): "speaker"}
    await connection.add_listener(
        "conformance_asyncpg",
        lambda _, pid, channel, payload: heard.put_nowait((channel, payload, own.get(pid))),
    )
    await speaker.execute("select pg_notify('conformance_asyncpg', $1)", "to another ünï")
    await speaker.execute("notify conformance_asyncpg, 'again'")
    seen = [await asyncio.wait_for(heard.get(), 5) for _ in range(2)]
    await speaker.close()
    return seen


async def cancel(connection):
    seen = []
    began = time.monotonic()
    task = asyncio.create_task(connection.execute("select pg_sleep(30)"))
    await asyncio.sleep(0.5)
    task.cancel()
    outcome = await asyncio.gather(task, return_exceptions=True)
    seen.append(type(outcome[0]).__name__)
    seen.append(await connection.fetchval("select 'usable'"))
    try:
        await connection.fetch("select pg_sleep(30)", timeout=0.5)
    except asyncio.TimeoutError:
        seen.append("timeout")
    seen.append(await connection.fetchval("select 'usable again'"))
    other = await connect()
    task = asyncio.create_task(connection.fetch("select pg_sleep(30)"))
    await asyncio.sleep(0.3)
    # asyncpg hides the server's own words of a cancel; by its process id they are heard.
    await other.execute("select pg_cancel_backend($1)", connection.get_server_pid())
    try:
        await task
    except asyncpg.QueryCanceledError as error:
        seen.append((error.sqlstate, str(error)))
    await other.close()
    checks.within(8, began)
    return seen


async def notices(connection):
    heard = []
    connection.add_log_listener(
        lambda _, message: heard.append(
            (message.severity, message.sqlstate, message.message, message.detail, message.hint)
        )
    )
    await connection.execute("do $$ begin raise notice 'ünï'; raise warning 'a warning'; end $$")
    await connection.fetch("select speak($1)", "asyncpg")
    await asyncio.sleep(0.1)
    return heard


async def many(_):
    async def one(pool, n):
        async with pool.acquire() as connection:
            return await connection.fetchval("select $1::int * 2 from pg_sleep(0.2)", n)

    async with asyncpg.create_pool(**settings(min_size=10, max_size=10)) as pool:
        return await asyncio.gather(*(one(pool, n) for n in range(30)))


async def fails(connection):
    seen = []
    await connection.execute("create temporary table things (id int constraint one_id primary key)")
    await connection.execute("insert into things values (1)")
    for text, parameters in (
        ("insert into things values ($1)", [1]),
        ("select 'ünï' from things whre true", []),
        ("select nothing from things where id = $1", [1]),
        ("select $1::int / 0", [1]),
        ("do $$ begin raise exception 'x' using errcode = 'AB123', detail = 'd', hint = 'h'; end $$", []),
    ):
        try:
            await connection.fetch(text, *parameters)
        except asyncpg.PostgresError as error:
            seen.append(
                (
                    type(error).__name__,
                    error.sqlstate,
                    error.message,
                    error.detail,
                    error.hint,
                    error.position,
                    error.constraint_name,
                    error.context,
                )
            )
    return seen


def large_objects():
    raise checks.Unsupported("asyncpg has no interface to them")


def direct_tls():
    if not checks.tls:
        raise checks.Unsupported("only in TLS")

    async def work():
        connection = await connect(direct_tls=True)
        return await connection.fetchval("select 'in TLS'")

    return asyncio.run(work())


checks.introduce("asyncpg", asyncpg.__version__)
checks.run(
    [
        ("connect", check(session)),
        ("simple", check(simple)),
        ("prepared", check(prepared)),
        ("binary", check(binary)),
        ("batch", check(batch)),
        ("transaction", check(transaction)),
        ("copy_in", check(copy_in)),
        ("copy_out", check(copy_out)),
        ("cursor", check(cursor)),
        ("notify", check(notify)),
        ("cancel", check(cancel)),
        ("notices", check(notices)),
        ("many", check(many)),
        ("errors", check(fails)),
        ("large_objects", large_objects),
        ("direct_tls", direct_tls),
    ]
)
