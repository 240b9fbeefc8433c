/* See check.h. */

#include "check.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const unsigned limit_seconds = 20;

static const char *current;
static char seen[1 << 16];
static size_t seen_length;

static void print_line(const char *result, const char *detail)
{
	printf("{\"check\":\"%s\",\"result\":\"%s\",\"detail\":\"", current, result);
	for (const char *c = detail; *c != '\0'; c++) {
		if (*c == '"' || *c == '\\')
			printf("\\%c", *c);
		else if ((unsigned char)*c < 0x20)
			printf("\\u%04x", *c);
		else
			putchar(*c);
	}
	puts("\"}");
	fflush(stdout);
}

void run_checks(const struct check *checks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		current = checks[i].name;
		fflush(stdout);
		pid_t child = fork();
		if (child == 0) {
			alarm(limit_seconds);
			checks[i].run();
			print_line("ok", seen);
			_exit(0);
		}
		int status;
		waitpid(child, &status, 0);
		if (WIFSIGNALED(status))
			print_line("failed", strsignal(WTERMSIG(status)));
	}
}

void see(const char *format, ...)
{
	va_list values;
	va_start(values, format);
	size_t room = sizeof seen - seen_length;
	int length = vsnprintf(seen + seen_length, room, format, values);
	va_end(values);
	if (length < 0 || (size_t)length >= room)
		fail("more was seen than there is room for");
	seen_length += (size_t)length;
}

void fail(const char *format, ...)
{
	char why[4096];
	va_list values;
	va_start(values, format);
	vsnprintf(why, sizeof why, format, values);
	va_end(values);
	print_line("failed", why);
	_exit(0);
}

void unsupported(const char *why)
{
	print_line("unsupported", why);
	_exit(0);
}

void where_to_connect(const char **keywords, const char **values)
{
	bool tls = strcmp(getenv("CONFORMANCE_TLS"), "on") == 0;
	const char *pairs[][2] = {
		{"host", getenv("CONFORMANCE_HOST")},
		{"port", getenv("CONFORMANCE_PORT")},
		{"dbname", getenv("CONFORMANCE_DATABASE")},
		{"user", getenv("CONFORMANCE_USER")},
		{"password", getenv("CONFORMANCE_PASSWORD")},
		{"sslmode", tls ? "verify-full" : "disable"},
		{"sslrootcert", tls ? getenv("CONFORMANCE_CA") : NULL},
		{"connect_timeout", "10"},
		{NULL, NULL},
	};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		keywords[i] = pairs[i][0];
		values[i] = pairs[i][1];
	}
}

PGconn *dial(void)
{
	const char *keywords[16], *values[16];
	where_to_connect(keywords, values);
	PGconn *conn = PQconnectdbParams(keywords, values, 0);
	if (PQstatus(conn) != CONNECTION_OK)
		fail("%s", PQerrorMessage(conn));
	return conn;
}

PGresult *query(PGconn *conn, const char *text)
{
	PGresult *result = PQexec(conn, text);
	ExecStatusType status = PQresultStatus(result);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		fail("%s: %s", text, PQerrorMessage(conn));
	return result;
}

static void see_error(const PGresult *result)
{
	static const char fields[] = {
		PG_DIAG_SEVERITY_NONLOCALIZED, PG_DIAG_SQLSTATE,        PG_DIAG_MESSAGE_PRIMARY,
		PG_DIAG_MESSAGE_DETAIL,        PG_DIAG_MESSAGE_HINT,    PG_DIAG_STATEMENT_POSITION,
		PG_DIAG_CONTEXT,               PG_DIAG_CONSTRAINT_NAME, PG_DIAG_TABLE_NAME,
	};
	for (size_t i = 0; i < sizeof fields; i++) {
		const char *value = PQresultErrorField(result, fields[i]);
		if (value != NULL)
			see(" %c=%s", fields[i], value);
	}
}

void see_result(PGresult *result)
{
	see("%s %s", PQresStatus(PQresultStatus(result)), PQcmdStatus(result));
	if (PQresultStatus(result) == PGRES_FATAL_ERROR)
		see_error(result);
	for (int row = 0; row < PQntuples(result); row++) {
		see(" (");
		for (int column = 0; column < PQnfields(result); column++) {
			see(column == 0 ? "%s:%u=" : ", %s:%u=", PQfname(result, column), PQftype(result, column));
			if (PQgetisnull(result, row, column))
				see("null");
			else if (PQfformat(result, column) == 0)
				see("%s", PQgetvalue(result, row, column));
			else
				for (int i = 0; i < PQgetlength(result, row, column); i++)
					see("%02x", (unsigned char)PQgetvalue(result, row, column)[i]);
		}
		see(")");
	}
	see("; ");
	PQclear(result);
}

void see_results(PGconn *conn)
{
	for (PGresult *result; (result = PQgetResult(conn)) != NULL;)
		see_result(result);
}

void await(PGconn *conn, bool write_too)
{
	struct pollfd socket = {PQsocket(conn), POLLIN | (write_too ? POLLOUT : 0), 0};
	if (poll(&socket, 1, 10000) <= 0)
		fail("nothing came for 10 s");
}

uint64_t digest(uint64_t so_far, const void *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		so_far = (so_far ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3ULL;
	return so_far;
}
