/*
 * What the checks have in common: each runs in a process of its own that ends after a while, tells
 * what it saw with see(), and gives up with fail(). Ignorant of the checks. See ../../README.md.
 */
#pragma once

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct check {
	const char *name;
	void (*run)(void);
};

/* Runs them one after another and prints a line for each. */
void run_checks(const struct check *checks, size_t count);

/* Adds to what the check saw. */
void see(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the check as failed. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Ends the check as one that this libpq cannot do. */
void unsupported(const char *why) __attribute__((noreturn));

/* The connection's keywords and values, each list ended by NULL. */
void where_to_connect(const char **keywords, const char **values);

/* A session. */
PGconn *dial(void);

/* Runs one query, which must succeed. */
PGresult *query(PGconn *conn, const char *text);

/* Status, tag, columns and values of a result; of an error, its fields. Clears it. */
void see_result(PGresult *result);

/* Every result until there is none. */
void see_results(PGconn *conn);

/* Waits until the socket can be read, or written where that is wanted; fails after 10 s. */
void await(PGconn *conn, bool write_too);

/* FNV-1a, for what is too long to be shown. */
uint64_t digest(uint64_t so_far, const void *bytes, size_t length);
#define DIGEST_START 0xcbf29ce484222325ULL
