/*
 * libpq from C, as every driver built on it calls it: queries, transactions, notices, cancels. The
 * bulk of data is in bulk.c.
 */

#include "check.h"
#include "bulk.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A login without blocking, a second session from the first one's reset, and what was told. */
static void connect_check(void)
{
	static const char *parameters[] = {"server_encoding", "client_encoding", "DateStyle", "integer_datetimes",
	                                   "standard_conforming_strings"};
	const char *keywords[16], *values[16];
	where_to_connect(keywords, values);
	PGconn *conn = PQconnectStartParams(keywords, values, 0);
	for (PostgresPollingStatusType state = PGRES_POLLING_WRITING; state != PGRES_POLLING_OK;) {
		await(conn, state == PGRES_POLLING_WRITING);
		state = PQconnectPoll(conn);
		if (state == PGRES_POLLING_FAILED)
			fail("%s", PQerrorMessage(conn));
	}
	see("server %d, protocol %d, TLS %d", PQserverVersion(conn), PQprotocolVersion(conn), PQsslInUse(conn));
	for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
		see(", %s=%s", parameters[i], PQparameterStatus(conn, parameters[i]));
	PGresult *result = query(conn, "select pg_backend_pid()");
	see(", pid %s", atoi(PQgetvalue(result, 0, 0)) == PQbackendPID(conn) ? "as told" : "another");
	PQreset(conn);
	see(", after reset %d, ping %d", PQstatus(conn), PQpingParams(keywords, values, 0));
}

static void simple(void)
{
	PGconn *conn = dial();
	see_result(query(conn, "select 1 as one, 2.50::numeric as price, null::text as nothing, 'ünï 😀' as text,"
	                       " true as yes, array[1,null] as list, '\\x00ff'::bytea as bytes"));
	PQsendQuery(conn, "select 1; select 2 where false; create temporary table t (n int); insert into t values "
	                  "(1), (2); select 1/0; select 'never'");
	see_results(conn);
	PQsendQuery(conn, "");
	see_results(conn);
	PQsendQuery(conn, ";;select 3;;");
	see_results(conn);
}

static void prepared(void)
{
	PGconn *conn = dial();
	see_result(PQprepare(conn, "addition", "select $1::int + 1 as n, $2 || '!' as text", 0, NULL));
	PGresult *shape = PQdescribePrepared(conn, "addition");
	for (int i = 0; i < PQnparams(shape); i++)
		see("parameter %u, ", PQparamtype(shape, i));
	for (int i = 0; i < PQnfields(shape); i++)
		see("column %s %u, ", PQfname(shape, i), PQftype(shape, i));
	for (int n = 0; n < 5; n++) {
		char number[16];
		snprintf(number, sizeof number, "%d", n);
		const char *values[] = {number, n == 3 ? NULL : "ünï"};
		see_result(PQexecPrepared(conn, "addition", 2, values, NULL, NULL, 0));
	}
	see_result(PQprepare(conn, "addition", "select 1", 0, NULL));
	see_result(PQexecPrepared(conn, "nowhere", 0, NULL, NULL, NULL, 0));
	query(conn, "deallocate addition");
	see_result(PQdescribePrepared(conn, "addition"));
	query(conn, "begin; declare c cursor for select 1 as one");
	shape = PQdescribePortal(conn, "c");
	see("portal %s", PQfname(shape, 0));
}

static void binary(void)
{
	PGconn *conn = dial();
	uint32_t number = htonl(41);
	const char *values[] = {(const char *)&number, "a\0b", NULL, "2.5"};
	const int lengths[] = {sizeof number, 3, 0, 0}, formats[] = {1, 1, 1, 0};
	const Oid types[] = {23, 17, 25, 701};
	see_result(PQexecParams(conn, "select $1 + 1, $2, $3, $4 * 2, now() is not null", 4, types, values, lengths,
	                        formats, 1));
	see_result(PQexecParams(conn, "select $1", 1, types, values, (const int[]){3}, formats, 1));
}

static void transaction(void)
{
	static const char *steps[] = {"create temporary table t (n int)", "begin", "insert into t values (1)",
	                              "savepoint here", "select 1/0", "select 1", "rollback to savepoint here",
	                              "insert into t values (2)", "commit", "begin", "insert into t values (3)",
	                              "select nothing", "commit", "select count(*) from t", "commit"};
	PGconn *conn = dial();
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		see_result(PQexec(conn, steps[i]));
		see("state %d; ", PQtransactionStatus(conn));
	}
}

static void notify(void)
{
	PGconn *listener = dial(), *speaker = dial();
	query(listener, "listen conformance_libpq");
	query(speaker, "notify conformance_libpq, 'ünï'; notify conformance_libpq");
	query(listener, "notify conformance_libpq, 'to itself'");
	for (int heard = 0; heard < 3;) {
		PGnotify *each = PQnotifies(listener);
		if (each == NULL) {
			await(listener, false);
			PQconsumeInput(listener);
			continue;
		}
		see("%s '%s' by %s, ", each->relname, each->extra,
		    each->be_pid == PQbackendPID(speaker) ? "the speaker" : "itself");
		heard++;
	}
}

/* In the middle of a query, when none runs, and in the middle of a transaction. */
static void cancel(void)
{
	char why[256];
	PGconn *conn = dial();
	PGcancel *request = PQgetCancel(conn);
	for (int turn = 0; turn < 2; turn++) {
		time_t began = time(NULL);
		PQsendQuery(conn, turn == 0 ? "select pg_sleep(30)" : "begin; select pg_sleep(30); select 'never'");
		usleep(500000);
		if (!PQcancel(request, why, sizeof why))
			fail("%s", why);
		see_results(conn);
		if (time(NULL) - began > 5)
			fail("it took longer than 5 s");
		see("state %d; ", PQtransactionStatus(conn));
	}
	query(conn, "rollback");
	see("late %d; ", PQcancel(request, why, sizeof why));
	see_result(query(conn, "select 'usable' from pg_sleep(0.3)"));
}

static void receive_notice(void *unused, const PGresult *notice)
{
	(void)unused;
	see("%s %s: %s", PQresultErrorField(notice, PG_DIAG_SEVERITY), PQresultErrorField(notice, PG_DIAG_SQLSTATE),
	    PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY));
	const char *detail = PQresultErrorField(notice, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(notice, PG_DIAG_MESSAGE_HINT);
	see(" (%s, %s); ", detail == NULL ? "" : detail, hint == NULL ? "" : hint);
}

static void notices(void)
{
	PGconn *conn = dial();
	PQsetNoticeReceiver(conn, receive_notice, NULL);
	query(conn, "do $$ begin for n in 1..20 loop raise notice 'ünï %', n; end loop; raise warning 'w'; end $$");
	const char *values[] = {"libpq"};
	see_result(PQexecParams(conn, "select speak($1)", 1, NULL, values, NULL, NULL, 0));
	query(conn, "rollback");
}

/* Ten sessions that all work at the same time. */
static void many(void)
{
	PGconn *conns[10];
	for (int i = 0; i < 10; i++)
		conns[i] = dial();
	for (int i = 0; i < 10; i++) {
		char text[64];
		snprintf(text, sizeof text, "select %d * 2 from pg_sleep(0.2)", i);
		PQsendQuery(conns[i], text);
	}
	for (int i = 0; i < 10; i++) {
		see_results(conns[i]);
		for (int other = 0; other < i; other++)
			if (PQbackendPID(conns[i]) == PQbackendPID(conns[other]))
				fail("two sessions have one process id");
	}
}

static void errors(void)
{
	static const char *texts[] = {
		"insert into things values (1)",
		"select 'ünï' from things whre true",
		"select nothing from things",
		"do $$ begin raise exception 'x' using errcode = 'AB123', detail = 'd', hint = 'h'; end $$",
		"select pg_terminate_backend(pg_backend_pid())",
	};
	PGconn *conn = dial();
	query(conn, "create temporary table things (id int constraint one_id primary key)");
	query(conn, "insert into things values (1)");
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		PQsendQueryParams(conn, texts[i], 0, NULL, NULL, NULL, NULL, 0);
		see_results(conn);
	}
	see("status %d", PQstatus(conn));
}

int main(void)
{
	const struct check checks[] = {
		{"connect", connect_check}, {"simple", simple},   {"prepared", prepared},           {"binary", binary},
		{"batch", batch},           {"copy_in", copy_in}, {"transaction", transaction},     {"copy_out", copy_out},
		{"cursor", cursor},         {"notify", notify},   {"cancel", cancel},               {"notices", notices},
		{"many", many},             {"errors", errors},   {"large_objects", large_objects},
	};
	int version = PQlibVersion();
	printf("{\"client\":\"libpq\",\"version\":\"%d.%d\"}\n", version / 10000, version % 10000);
	run_checks(checks, sizeof checks / sizeof *checks);
	return 0;
}
