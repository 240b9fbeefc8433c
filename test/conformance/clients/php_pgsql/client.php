<?php
// PHP's pgsql extension and PDO's driver: libpq, with its asynchronous calls and its large objects.
// The contract of such a program is in ../../README.md.

const ROWS = 100_000;
const SIMPLE = "select 1 as one, 2.50::numeric(10,2) as price, null::text as nothing, 'ünï 😀' as text,"
    . " true as yes, '2024-02-29'::date as day, array[1,null,3] as list, '\\x00ff'::bytea as bytes,"
    . " 9007199254740993 as large, '{\"a\": [1]}'::jsonb as json";

class Unsupported extends Exception {}

error_reporting(E_ALL & ~E_WARNING);
$tls = getenv('CONFORMANCE_TLS') === 'on';
$ssl = $tls ? "sslmode=verify-full sslrootcert='" . getenv('CONFORMANCE_CA') . "'" : 'sslmode=disable';
define('CONNINFO', 'host=' . getenv('CONFORMANCE_HOST') . ' port=' . getenv('CONFORMANCE_PORT')
    . ' dbname=' . getenv('CONFORMANCE_DATABASE') . " connect_timeout=10 $ssl");
define('LOGIN', ' user=' . getenv('CONFORMANCE_USER') . " password='" . getenv('CONFORMANCE_PASSWORD') . "'");

function connect(string $more = ''): PgSql\Connection
{
    $connection = pg_connect(CONNINFO . LOGIN . " $more", PGSQL_CONNECT_FORCE_NEW);
    if ($connection === false) throw new Exception(error_get_last()['message'] ?? 'no connection');
    return $connection;
}

/** Throws what the server says. */
function query(PgSql\Connection $connection, string $text): PgSql\Result
{
    $result = pg_query($connection, $text);
    if ($result === false) throw new Exception(pg_last_error($connection));
    return $result;
}

function rows(PgSql\Connection $connection, string $text): array
{
    return pg_fetch_all(query($connection, $text), PGSQL_NUM);
}

/** Fields of the error that a text ends with. */
function failure(PgSql\Connection $connection, string $text, array $parameters = []): array
{
    $sent = $parameters ? pg_send_query_params($connection, $text, $parameters) : pg_send_query($connection, $text);
    if (!$sent) throw new Exception(pg_last_error($connection));
    $seen = [];
    while ($result = pg_get_result($connection)) $seen = fields($result);
    return $seen;
}

function fields(PgSql\Result $result): array
{
    $fields = [PGSQL_DIAG_SQLSTATE, PGSQL_DIAG_SEVERITY, PGSQL_DIAG_MESSAGE_PRIMARY, PGSQL_DIAG_MESSAGE_DETAIL,
        PGSQL_DIAG_MESSAGE_HINT, PGSQL_DIAG_STATEMENT_POSITION, PGSQL_DIAG_CONSTRAINT_NAME, PGSQL_DIAG_CONTEXT];
    return array_map(fn ($field) => pg_result_error_field($result, $field), $fields);
}

function digest(array $lines): string
{
    return count($lines) . ' ' . substr(hash('sha256', implode("\n", $lines)), 0, 16);
}

function row_line(int $n): string
{
    return "line $n ünï \\ \t end";
}

function pdo(): PDO
{
    $options = [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_TIMEOUT => 10];
    $dsn = 'pgsql:' . str_replace(' ', ';', CONNINFO);
    return new PDO($dsn, getenv('CONFORMANCE_USER'), getenv('CONFORMANCE_PASSWORD'), $options);
}

$checks = [
    'connect' => function () {
        $connection = connect("application_name='conformance ünï' options='-c work_mem=5MB'");
        $seen = rows($connection, "select current_setting('application_name'), current_setting('work_mem')");
        $seen[] = rows($connection, 'select pg_backend_pid()')[0][0] == pg_get_pid($connection);
        $seen[] = array_map(fn ($name) => pg_parameter_status($connection, $name),
            ['server_version', 'client_encoding', 'DateStyle', 'standard_conforming_strings']);
        $seen[] = [pg_ping($connection), pg_version($connection)['protocol'] ?? null, pg_transaction_status($connection)];
        return $seen;
    },
    'simple' => function () {
        $connection = connect();
        $result = query($connection, SIMPLE);
        $types = [];
        for ($n = 0; $n < pg_num_fields($result); $n++) $types[] = [pg_field_name($result, $n), pg_field_type($result, $n)];
        return [pg_fetch_assoc($result), $types, rows($connection, "select 1; select 2 where false; select 'last'")];
    },
    'prepared' => function () {
        $connection = connect();
        pg_prepare($connection, 'every', 'select $1::int + 1, $2::text, $3::text[]');
        $seen = [];
        for ($n = 0; $n < 5; $n++) {
            $result = pg_execute($connection, 'every', [$n, $n % 2 ? null : "ünï $n", '{a,NULL,"\""}']);
            $seen[] = pg_fetch_row($result);
        }
        $pdo = pdo();
        $statement = $pdo->prepare('select :n::int + 1 as n, :text::text as text');
        for ($n = 0; $n < 3; $n++) {
            $statement->execute(['n' => $n, 'text' => "ünï $n"]);
            $seen[] = $statement->fetchAll(PDO::FETCH_ASSOC);
        }
        return $seen;
    },
    'binary' => fn () => throw new Unsupported('results and parameters are always text'),
    'batch' => function () {
        $connection = connect();
        query($connection, 'create temporary table batch (n int, line text)');
        // The interface's own way to insert, and many statements in one message.
        for ($n = 0; $n < 100; $n++) pg_insert($connection, 'batch', ['n' => $n, 'line' => row_line($n)], PGSQL_DML_ESCAPE | PGSQL_DML_EXEC);
        $texts = array_map(fn ($n) => 'insert into batch values (' . $n . ', ' . pg_escape_literal($connection, row_line($n)) . ')', range(100, 499));
        pg_send_query($connection, implode(';', $texts));
        $ends = 0;
        while ($result = pg_get_result($connection)) $ends += pg_affected_rows($result);
        return [$ends, digest(array_column(rows($connection, 'select line from batch order by n'), 0))];
    },
    'transaction' => function () {
        $connection = connect();
        $seen = [];
        query($connection, 'create temporary table steps (n int)');
        query($connection, 'begin');
        query($connection, 'insert into steps values (1); savepoint here');
        foreach (['select 1/0', 'select 1'] as $text) $seen[] = [failure($connection, $text), pg_transaction_status($connection)];
        query($connection, 'rollback to savepoint here');
        query($connection, 'insert into steps values (2); commit');
        query($connection, 'begin; insert into steps values (3); rollback');
        $seen[] = pg_transaction_status($connection);
        $pdo = pdo();
        $pdo->beginTransaction();
        try {
            $pdo->exec('select 1/0');
        } catch (PDOException $error) {
            $seen[] = $error->errorInfo;
        }
        $seen[] = [$pdo->inTransaction(), $pdo->rollBack(), $pdo->query('select 1')->fetchAll(PDO::FETCH_NUM)];
        return [$seen, rows($connection, 'select n from steps order by n')];
    },
    'copy_in' => function () {
        $connection = connect();
        query($connection, 'create temporary table loaded (n int, line text)');
        $lines = array_map(fn ($n) => "$n\tline $n ünï\n", range(0, ROWS - 1));
        $seen = [pg_copy_from($connection, 'loaded', $lines)];
        query($connection, 'copy loaded from stdin');
        foreach (["1\tfine\n", "no number\tx\n", "\\.\n"] as $line) pg_put_line($connection, $line);
        $seen[] = pg_end_copy($connection);
        $seen[] = explode("\n", pg_last_error($connection))[0];
        $seen[] = rows($connection, "select count(*), sum(n), md5(string_agg(line, ',' order by n)) from loaded");
        return $seen;
    },
    'copy_out' => function () {
        $connection = connect();
        query($connection, 'create temporary table stored as select n, \'line ünï \' || n from generate_series(1, ' . ROWS . ') n');
        return digest(pg_copy_to($connection, 'stored'));
    },
    'cursor' => function () {
        $connection = connect();
        query($connection, 'begin; declare parts cursor for select n from generate_series(1, 10000) n');
        $seen = [];
        do {
            $part = array_column(rows($connection, 'fetch 500 from parts'), 0);
            array_push($seen, ...$part);
        } while ($part);
        query($connection, 'close parts; commit');
        return digest($seen);
    },
    'notify' => function () {
        [$listener, $speaker] = [connect(), connect()];
        query($listener, 'listen conformance_php');
        query($speaker, "notify conformance_php, 'to another ünï'");
        query($listener, "notify conformance_php, 'to itself'");
        $own = [pg_get_pid($speaker) => 'speaker', pg_get_pid($listener) => 'listener'];
        $seen = [];
        for ($tries = 0; count($seen) < 2 && $tries < 100; $tries++) {
            while ($each = pg_get_notify($listener, PGSQL_ASSOC)) $seen[] = [$each['message'], $each['payload'], $own[$each['pid']] ?? null];
            usleep(50_000);
        }
        return $seen;
    },
    'cancel' => function () {
        $connection = connect();
        $began = microtime(true);
        pg_send_query($connection, 'select pg_sleep(30)');
        usleep(1_000_000);
        // Sends libpq's CancelRequest and takes what comes.
        $cancelled = pg_cancel_query($connection);
        $took = microtime(true) - $began;
        if ($took > 6) throw new Exception("took $took s");
        $own = connect();
        return [$cancelled, rows($connection, "select 'usable'"), failure($own, "set statement_timeout = 100; select pg_sleep(30)")];
    },
    'notices' => function () {
        $connection = connect();
        query($connection, "do $$ begin raise notice 'ünï'; raise warning 'a warning'; end $$");
        rows($connection, "select speak('php')");
        return pg_last_notice($connection, PGSQL_NOTICE_ALL);
    },
    'many' => function () {
        $connections = array_map(fn () => connect(), range(1, 10));
        $seen = array_map(fn ($each, $n) => pg_fetch_row(pg_query_params($each, 'select $1::int * 2', [$n])), $connections, range(0, 9));
        return [$seen, count(array_unique(array_map('pg_get_pid', $connections)))];
    },
    'errors' => function () {
        $connection = connect();
        query($connection, 'create temporary table things (id int constraint one_id primary key); insert into things values (1)');
        return [
            failure($connection, 'insert into things values (1)'),
            failure($connection, 'insert into things values ($1)', [1]),
            failure($connection, 'select ünï from things whre true'),
            failure($connection, 'select nothing from things where id = $1', [1]),
            failure($connection, "do $$ begin raise exception 'own' using errcode = 'AB123', detail = 'd', hint = 'h'; end $$"),
        ];
    },
    // By the protocol's FunctionCall, in libpq.
    'large_objects' => function () {
        $connection = connect();
        query($connection, 'begin');
        $oid = pg_lo_create($connection);
        $object = pg_lo_open($connection, $oid, 'w+');
        if ($object === false) throw new Exception(pg_last_error($connection));
        $seen = [pg_lo_write($object, str_repeat('0123456789', 30_000)), pg_lo_seek($object, 995, PGSQL_SEEK_SET)];
        array_push($seen, pg_lo_read($object, 10), pg_lo_tell($object), pg_lo_close($object), pg_lo_unlink($connection, $oid));
        query($connection, 'commit');
        return $seen;
    },
];

function show(array $line): void
{
    echo json_encode($line, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR), "\n";
}

show(['client' => 'php-pgsql', 'version' => phpversion('pgsql') . ' libpq ' . (pg_version(connect())['client'])]);
pcntl_async_signals(true);
pcntl_signal(SIGALRM, fn () => throw new Exception('longer than 30 s'));
foreach ($checks as $check => $work) {
    pcntl_alarm(30);
    try {
        $seen = $work();
        show(['check' => $check, 'result' => 'ok', 'detail' => json_encode($seen, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR)]);
    } catch (Unsupported $why) {
        show(['check' => $check, 'result' => 'unsupported', 'detail' => $why->getMessage()]);
    } catch (Throwable $error) {
        fwrite(STDERR, "$check: $error\n");
        show(['check' => $check, 'result' => 'failed', 'detail' => $error->getMessage()]);
    } finally {
        pcntl_alarm(0);
    }
}
