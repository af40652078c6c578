/* SPDX-License-Identifier: MIT
 *
 * What a file is that is not what was asked for. Files get wrong names, and downloads put a pointer or an error page in
 * a file's place; the first bytes tell, so that a sentence can name them instead of the first thing that went wrong.
 */
#ifndef TTT_BASE_KIND_H
#define TTT_BASE_KIND_H

#include <stdbool.h>
#include <stddef.h>

/* A phrase for "FILE is ...", such as "a PNG picture", of `size` bytes from the start of a file (the first few hundred
 * are enough); NULL: nothing that is known. Static storage. Text, JSON, gzip and zstd have no name here. */
const char *ttt_kind_name(const void *start, size_t size);

/* The same for a file that must be JSON or a SentencePiece model: a web page and lists of tokens are text, but not
 * these. */
const char *ttt_kind_name_not_tokenizer(const void *start, size_t size);

/* For a folder in which what is needed was looked for in vain: ", but NAME, which is ..." if it holds what other
 * programs have in its place (for tokenizers, or for weights), else "". Writes at most `size` bytes and returns `text`.
 */
const char *ttt_kind_of_folder(char *text, size_t size, const char *path, bool tokenizer);

#endif
