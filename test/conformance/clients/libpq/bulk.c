/* See bulk.h. */

#include "bulk.h"
#include "check.h"

#include <inttypes.h>
#include <libpq/libpq-fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int copy_rows = 100000;

/* Everything up to the answer of a Sync, or to the end of what a flush request brings. */
static void see_pipeline(PGconn *conn, int results)
{
	for (int i = 0; i < results;) {
		PGresult *result = PQgetResult(conn);
		if (result == NULL)
			continue;
		see_result(result);
		i++;
	}
}

/* More than any buffer on the way holds, written while the answers are read. */
static void long_pipeline(PGconn *conn)
{
	const int queries = 5000;
	int sent = 0, answered = 0, results = 0;
	static char text[1000];
	memset(text, 'x', sizeof text - 1);
	uint64_t all = DIGEST_START;
	PQsetnonblocking(conn, 1);
	while (answered < queries) {
		if (sent < queries && PQflush(conn) == 0) {
			char number[16];
			snprintf(number, sizeof number, "%d", sent);
			const char *values[] = {number, text};
			PQsendQueryPrepared(conn, "row", 2, values, NULL, NULL, 0);
			if (++sent == queries)
				PQpipelineSync(conn);
			else if (sent % 500 == 0)
				PQsendFlushRequest(conn);
		}
		await(conn, PQflush(conn) != 0 || sent < queries);
		PQconsumeInput(conn);
		while (answered < queries && !PQisBusy(conn)) {
			PGresult *result = PQgetResult(conn);
			if (result == NULL) {
				answered++;
				continue;
			}
			if (PQresultStatus(result) != PGRES_TUPLES_OK)
				fail("%s", PQresultErrorMessage(result));
			all = digest(all, PQgetvalue(result, 0, 0), (size_t)PQgetlength(result, 0, 0));
			results++;
			PQclear(result);
		}
	}
	PQsetnonblocking(conn, 0);
	see("%d results %" PRIx64 "; ", results, all);
	see_pipeline(conn, 1);
}

void batch(void)
{
	PGconn *conn = dial();
	query(conn, "create temporary table t (n int primary key)");
	PQclear(PQprepare(conn, "row", "select $1 || $2", 0, NULL));
	PQenterPipelineMode(conn);

	/* Asked to answer without a Sync. */
	PQsendQueryParams(conn, "select 'flushed'", 0, NULL, NULL, NULL, NULL, 0);
	PQsendFlushRequest(conn);
	PQflush(conn);
	see_pipeline(conn, 1);
	PQpipelineSync(conn);
	see_pipeline(conn, 1);

	/* An error takes back what came before it, and skips to the Sync; the next group is whole. */
	static const char *texts[] = {"insert into t values (1)", "insert into t values (1)", "select 'skipped'"};
	for (int i = 0; i < 3; i++)
		PQsendQueryParams(conn, texts[i], 0, NULL, NULL, NULL, NULL, 0);
	PQsendPrepare(conn, "skipped", "select 1", 0, NULL);
	PQpipelineSync(conn);
	PQsendQueryParams(conn, "select count(*) from t", 0, NULL, NULL, NULL, NULL, 0);
	PQsendDescribePrepared(conn, "row");
	PQpipelineSync(conn);
	see_pipeline(conn, 5);
	see("pipeline %d; ", PQpipelineStatus(conn));
	see_pipeline(conn, 3);

	long_pipeline(conn);
	see("left %d; ", PQexitPipelineMode(conn));
	see_result(query(conn, "select 'simple again'"));
}

static void put(PGconn *conn, const char *text)
{
	if (PQputCopyData(conn, text, (int)strlen(text)) != 1)
		fail("%s", PQerrorMessage(conn));
}

void copy_in(void)
{
	PGconn *conn = dial();
	query(conn, "create temporary table loaded (n int, line text)");
	PQclear(PQexec(conn, "copy loaded from stdin"));
	for (int n = 0; n < copy_rows; n++) {
		char row[64];
		snprintf(row, sizeof row, "%d\tline %d ünï\n", n, n);
		put(conn, row);
	}
	PQputCopyEnd(conn, NULL);
	see_results(conn);
	see_result(query(conn, "select count(*), sum(n), md5(string_agg(line, ',' order by n)) from loaded"));

	/* Wrong data early in much of it; then the client gives up; then a COPY that cannot begin. */
	PQclear(PQexec(conn, "copy loaded from stdin"));
	put(conn, "no number\tx\n");
	for (int n = 0; n < copy_rows; n++)
		put(conn, "1\tfine\n");
	PQputCopyEnd(conn, NULL);
	see_results(conn);
	PQclear(PQexecParams(conn, "copy loaded from stdin", 0, NULL, NULL, NULL, NULL, 0));
	put(conn, "1\tfine\n");
	PQputCopyEnd(conn, "the client gives up");
	see_results(conn);
	see_result(PQexec(conn, "copy nowhere from stdin"));

	/* In the middle of other statements. */
	PQsendQuery(conn, "select 'before'; copy loaded from stdin; select count(*) from loaded");
	for (PGresult *result; (result = PQgetResult(conn)) != NULL;) {
		if (PQresultStatus(result) == PGRES_COPY_IN) {
			put(conn, "-1\tlast\n");
			PQputCopyEnd(conn, NULL);
		}
		see_result(result);
	}
}

void copy_out(void)
{
	PGconn *conn = dial();
	for (int binary = 0; binary < 2; binary++) {
		char text[160], *row;
		snprintf(text, sizeof text,
		         "copy (select n, 'line ünï ' || n from generate_series(1, %d) n) to stdout (format %s)",
		         copy_rows, binary ? "binary" : "text");
		PQclear(PQexec(conn, text));
		uint64_t all = DIGEST_START;
		int rows = 0, length;
		while ((length = PQgetCopyData(conn, &row, 0)) > 0) {
			all = digest(all, row, (size_t)length);
			rows++;
			PQfreemem(row);
		}
		see("%d rows %" PRIx64 "; ", rows, all);
		see_results(conn);
	}
	PQclear(PQexec(conn, "copy (select 1 / (5000 - n) from generate_series(1, 10000) n) to stdout"));
	for (char *row; PQgetCopyData(conn, &row, 0) > 0;)
		PQfreemem(row);
	see_results(conn);
}

/* 10,000 rows as they come, one by one or a few at a time. */
static void see_rows(PGconn *conn)
{
	uint64_t all = DIGEST_START;
	int rows = 0, results = 0;
	for (PGresult *result; (result = PQgetResult(conn)) != NULL; results++) {
		for (int row = 0; row < PQntuples(result); row++, rows++)
			all = digest(all, PQgetvalue(result, row, 0), (size_t)PQgetlength(result, row, 0));
		if (PQresultStatus(result) == PGRES_FATAL_ERROR)
			see("%s after %d; ", PQresultErrorField(result, PG_DIAG_SQLSTATE), rows);
		PQclear(result);
	}
	see("%d rows in %d results %" PRIx64 "; ", rows, results, all);
}

void cursor(void)
{
	PGconn *conn = dial();
	query(conn, "begin; declare parts scroll cursor for select generate_series(1, 10000)");
	PGresult *part;
	int fetches = 0, rows = 0;
	do {
		part = query(conn, "fetch 700 from parts");
		rows += PQntuples(part);
		fetches++;
	} while (PQntuples(part) > 0);
	see("%d rows in %d fetches; ", rows, fetches);
	see_result(query(conn, "fetch absolute 5000 from parts"));
	query(conn, "move backward 10 from parts");
	see_result(query(conn, "fetch backward 2 from parts"));
	query(conn, "commit");

	PQsendQuery(conn, "select generate_series(1, 10000)");
	PQsetSingleRowMode(conn);
	see_rows(conn);
	PQsendQuery(conn, "select 1 / (5000 - n) from generate_series(1, 10000) n");
	PQsetSingleRowMode(conn);
	see_rows(conn);
#ifdef LIBPQ_HAS_CHUNK_MODE
	PQsendQuery(conn, "select generate_series(1, 10000)");
	PQsetChunkedRowsMode(conn, 300);
	see_rows(conn);
#endif
}

void large_objects(void)
{
	enum { size = 3 * 1000 * 1000 };
	static char content[size], back[size];
	for (int i = 0; i < size; i++)
		content[i] = (char)(i * 7 + i / 256);
	PGconn *conn = dial();
	query(conn, "begin");
	Oid oid = lo_creat(conn, INV_READ | INV_WRITE);
	if (oid == InvalidOid)
		fail("%s", PQerrorMessage(conn));
	int object = lo_open(conn, oid, INV_READ | INV_WRITE);
	see("wrote %d", lo_write(conn, object, content, size));
	see(", at %" PRId64, lo_tell64(conn, object));
	see(", back to %" PRId64, lo_lseek64(conn, object, 1000, SEEK_SET));
	int length = lo_read(conn, object, back, size);
	see(", read %d %" PRIx64, length, digest(DIGEST_START, back, (size_t)length));
	see(", cut %d", lo_truncate64(conn, object, 5000));
	see(", closed %d", lo_close(conn, object));
	query(conn, "commit");

	char file[] = "/tmp/conformance-libpq-XXXXXX";
	close(mkstemp(file));
	query(conn, "begin");
	see(", exported %d", lo_export(conn, oid, file));
	Oid again = lo_import(conn, file);
	unlink(file);
	object = lo_open(conn, again, INV_READ);
	see(", imported %d; ", lo_lseek(conn, object, 0, SEEK_END));
	see("removed %d", lo_unlink(conn, oid));
	see(" %d; ", lo_unlink(conn, again));
	query(conn, "commit");
	query(conn, "begin");
	see("opened %d", lo_open(conn, oid, INV_READ));
	see(" in state %d; ", PQtransactionStatus(conn));
	query(conn, "rollback");
	see_result(query(conn, "select 'usable'"));
}
