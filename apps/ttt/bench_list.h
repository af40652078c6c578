/* SPDX-License-Identifier: MIT
 *
 * Lists as llama-bench takes them: "128,512", "256-1024+256", "1-64*4", with k for 1,024; and names between commas.
 */
#ifndef TTT_APPS_BENCH_LIST_H
#define TTT_APPS_BENCH_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TTT_LIST_MOST = 64 };

typedef struct ttt_list {
    int64_t values[TTT_LIST_MOST];
    int count;
} ttt_list;

/* Adds the numbers of `text` to the list. Returns NULL, or what is wrong: a part of a sentence, static. */
const char *ttt_list_add(ttt_list *list, const char *text);

/* The same for "1k..64k": the first and its doubles, up to the last. */
const char *ttt_list_add_doubles(ttt_list *list, const char *text);

/* Adds the numbers that the names of `text`, between commas, have in `names`, which NULL ends. */
const char *ttt_list_add_names(ttt_list *list, const char *text, const char *const *names);

#endif
