/* SPDX-License-Identifier: MIT
 *
 * The states that a server holds, each of one owner: sessions, which have names and are written on; responses, which
 * never change; and a cache of what was read lately. In memory lies what was used last, up to a limit; with a folder
 * every session and response is a file too, on disk before the call that made it returns, and costs memory only for its
 * entry in the index.
 *
 * A state in the store never changes: who wants to read on gets a copy, and puts a new state in its place. So whatever
 * fails on the way leaves the old one, and a copy is a fork.
 *
 * An owner is the hash of an API key in hexadecimal digits, or "" of a server without keys; nobody meets what is
 * another's. Threads: all functions may be called by any thread; they wait for the disk, never for a model.
 */
#ifndef TTT_SERVE_STORE_H
#define TTT_SERVE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <ttt/state.h>

#include "http.h"

typedef struct ttt_store ttt_store;

typedef struct ttt_store_options {
    const ttt_model *model; /* must outlive the store */
    const char *folder;     /* NULL: memory alone, and nothing outlives the server */
    size_t memory, disk;    /* bytes of states */
    void (*log)(const char *sentence);
} ttt_store_options;

/* Makes the folder or reads what is in it. A state that cannot be used is named in the log and left alone. The folder
 * is locked against other servers. Free with ttt_store_free, once nobody holds a claim. */
bool ttt_store_new(ttt_store **store, const ttt_store_options *options, ttt_refusal *refusal);
void ttt_store_free(ttt_store *store); /* NULL is allowed */

typedef enum ttt_kept { TTT_KEPT_SESSION, TTT_KEPT_RESPONSE, TTT_KEPT_CACHE } ttt_kept;

/* Whether this is a name: 1 to 128 of A-Z a-z 0-9 . _ - and no dot at the start; and the sentence that it is not. */
bool ttt_store_name(const char *name, ttt_refusal *refusal);

enum { TTT_STORE_NAME = TTT_STATE_NAME_MAX + 1, TTT_STORE_ETAG = 65 };

/* What is known of a session or response. */
typedef struct ttt_store_about {
    char name[TTT_STORE_NAME], parent[TTT_STORE_NAME]; /* parent "": none */
    char etag[TTT_STORE_ETAG];                         /* the checksum of its file */
    int64_t position;                                  /* tokens read */
    size_t bytes;                                      /* of its file */
    bool in_memory;                                    /* its file need not be read before it is used */
    bool busy;                                         /* a request writes to it */
    time_t changed;
} ttt_store_about;

bool ttt_store_find(ttt_store *store, const char *owner, ttt_kept kind, const char *name, ttt_store_about *about,
                    ttt_refusal *refusal);

/* The sessions of an owner, in the order of their names, behind the name `after` (NULL: from the first), at most
 * `limit`; *more: there are others behind these. Returns how many; *list is to be freed with free. NULL: memory
 * was short. */
size_t ttt_store_list(ttt_store *store, const char *owner, const char *after, size_t limit, ttt_store_about **list,
                      bool *more);

/* A copy of a state, the caller's. NULL: refused. */
ttt_state *ttt_store_copy(ttt_store *store, const char *owner, ttt_kept kind, const char *name, ttt_refusal *refusal);
/* The file of a session: *bytes [*size], to be freed with free. */
bool ttt_store_read(ttt_store *store, const char *owner, const char *name, void **bytes, size_t *size,
                    ttt_store_about *about, ttt_refusal *refusal);

/* The ids that it has read, to be freed with free. NULL: refused, also because it did not keep them. */
int32_t *ttt_store_tokens(ttt_store *store, const char *owner, const char *name, ttt_store_about *about,
                          ttt_refusal *refusal);

/* ---- writing to a session ---- */

/* What a request wants to be true of a session before it changes it, else 409. */
typedef struct ttt_store_condition {
    bool must_exist;        /* else 404 */
    const char *match;      /* If-Match: it exists and this is its checksum, or "*"; NULL: any */
    const char *none_match; /* If-None-Match: it does not exist, or this is not its checksum; NULL: any */
    int64_t position;       /* tokens that it has read; -1: any */
} ttt_store_condition;

/* A session that one request writes to. */
typedef struct ttt_claim ttt_claim;

/* Takes a session, which is made if it does not exist. NULL: refused; or, with refusal->status 0, another request has
 * it: `wake` is called once, by whoever gives it up, and then it is to be asked for again. */
ttt_claim *ttt_store_claim(ttt_store *store, const char *owner, const char *name, const ttt_store_condition *condition,
                           void (*wake)(void *context), void *context, ttt_refusal *refusal);
bool ttt_claim_exists(const ttt_claim *claim); /* before this request */
/* A copy of its state, the caller's, or one that has read nothing; it remembers its tokens. NULL: refused. */
ttt_state *ttt_claim_state(ttt_claim *claim, ttt_refusal *refusal);

/* These end a claim, also when they are refused, and then the session is as it was. */

/* `state`, which is taken over, becomes the session's; a `parent` of NULL stays what it was. */
bool ttt_claim_put(ttt_claim *claim, ttt_state *state, const char *parent, ttt_store_about *about,
                   ttt_refusal *refusal);
bool ttt_claim_remove(ttt_claim *claim, ttt_refusal *refusal);
void ttt_claim_drop(ttt_claim *claim); /* NULL is allowed */

/* A session `to`, which must not exist, that has read what `name` has. */
bool ttt_store_fork(ttt_store *store, const char *owner, const char *name, const char *to, ttt_store_about *about,
                    ttt_refusal *refusal);

/* ---- responses ---- */

/* Keeps a response under an id that is new. `note` is its JSON. Takes over `state`, also when this is refused. */
bool ttt_store_answer(ttt_store *store, const char *owner, const char *id, ttt_state *state, const char *parent,
                      const char *note, ttt_refusal *refusal);
/* The note of a response, to be freed with free. NULL: refused. */
char *ttt_store_note(ttt_store *store, const char *owner, const char *id, ttt_refusal *refusal);
bool ttt_store_forget(ttt_store *store, const char *owner, const char *id, ttt_refusal *refusal);

/* ---- what was read before ---- */

/* A state, the caller's, that has read the longest beginning of ids [count] that any state of this owner in the store
 * has read, but not the last id, whose logits are wanted; it remembers its tokens. NULL: none has. `why` says where it
 * is from and why it is not longer, or is "". */
ttt_state *ttt_store_prefix(ttt_store *store, const char *owner, const int32_t *ids, int64_t count, char why[256]);
/* Takes over a state that remembers its tokens, for others that begin alike. */
void ttt_store_keep(ttt_store *store, const char *owner, ttt_state *state);

/* ---- figures ---- */

/* Why states were refused. */
typedef enum ttt_refused {
    TTT_REFUSED_UNKNOWN,  /* 404 */
    TTT_REFUSED_CONFLICT, /* 409 */
    TTT_REFUSED_FOREIGN,  /* 422 */
    TTT_REFUSED_FULL,     /* 507 */
    TTT_REFUSED_OTHER,
    TTT_REFUSED_REASONS
} ttt_refused;

typedef struct ttt_store_figures {
    size_t memory, disk; /* bytes in use */
    int64_t sessions, responses, cached;
    int64_t saved, loaded, forked, rolled_back, refused[TTT_REFUSED_REASONS]; /* since the start */
} ttt_store_figures;
void ttt_store_measure(ttt_store *store, ttt_store_figures *figures);

/* What others did, for the figures. */
void ttt_store_refused(ttt_store *store, int status);
void ttt_store_rolled_back(ttt_store *store);

#endif
