/* The checks that move much: pipelines, COPY, large results and large objects. */
#pragma once

void batch(void);
void copy_in(void);
void copy_out(void);
void cursor(void);
void large_objects(void);
