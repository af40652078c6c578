/* SPDX-License-Identifier: MIT
 *
 * The inside of the store, for its own files: store.c has the index and what changes it, store_memory.c the states in
 * memory and what was read before, store_files.c the files.
 *
 * One mutex guards everything here but what it says otherwise; nobody holds it while a state is copied or a file read
 * or written. A claimed entry is changed by nobody but who has the claim; an entry that is not claimed may vanish
 * whenever the mutex is free.
 */
#ifndef TTT_SERVE_STORE_INDEX_H
#define TTT_SERVE_STORE_INDEX_H

#include <pthread.h>

#include "store.h"

/* A state in memory, which never changes; shared by the sessions that were forked and not written on. */
typedef struct ttt_held {
    ttt_state *state;
    size_t bytes;
    int users;               /* who frees it when they are no more */
    pthread_mutex_t reading; /* held without the store's: a state is used by one thread at a time */
} ttt_held;

/* Who waits for a claim. */
typedef struct ttt_waiter {
    void (*wake)(void *context);
    void *context;
    struct ttt_waiter *next;
} ttt_waiter;

typedef struct ttt_entry {
    char owner[TTT_OWNER];
    ttt_kept kind;
    ttt_store_about about;
    ttt_token_hash hash;
    bool exists; /* else it is being made, and nobody is shown it */
    bool known;  /* about and hash say what its file does, not only its name and size */
    bool claimed;
    ttt_waiter *waiting;             /* in the order in which they came */
    ttt_held *held;                  /* NULL: it is on disk alone */
    struct ttt_entry *newer, *older; /* of those that are held, by last use */
    char *note;                      /* of a response that has no file */
} ttt_entry;

struct ttt_store {
    ttt_store_options options;
    char *folder; /* NULL: memory alone */
    int folder_lock;
    pthread_mutex_t mutex;
    ttt_entry **entries; /* [count], in the order of owner, kind and name */
    size_t count, capacity;
    ttt_entry *newest, *oldest;
    uint64_t cached; /* numbers the entries of the cache */
    uint64_t staged; /* and the files that are being written */
    ttt_store_figures figures;
};

/* A claim has its entry for itself. */
struct ttt_claim {
    ttt_store *store;
    ttt_entry *entry;
};

/* ---- store.c ---- */

ttt_entry *ttt_index_find(ttt_store *store, const char *owner, ttt_kept kind, const char *name);
/* A new entry, which does not exist yet. NULL: memory is short. */
ttt_entry *ttt_index_add(ttt_store *store, const char *owner, ttt_kept kind, const char *name);
void ttt_index_remove(ttt_store *store, ttt_entry *entry); /* and frees it; its file stays */
/* The state of an entry in memory, of which the caller becomes a user; without the mutex. NULL: refused. */
ttt_held *ttt_store_hold(ttt_store *store, const char *owner, ttt_kept kind, const char *name, ttt_refusal *refusal);
/* The refusal of what the library could not do on this thread. */
void ttt_refuse_failure(ttt_refusal *refusal, ttt_status status);

/* ---- store_memory.c ---- */

/* Takes over a state, with one user. NULL: memory is short, and the state is freed. */
ttt_held *ttt_held_new(ttt_store *store, ttt_state *state);
void ttt_held_release(ttt_store *store, ttt_held *held); /* NULL is allowed */
/* An entry's state becomes this one (NULL: none in memory), whose user it takes over; it is the newest. */
void ttt_entry_hold(ttt_store *store, ttt_entry *entry, ttt_held *held);
void ttt_entry_used(ttt_store *store, ttt_entry *entry);
/* Lets what was used least recently go, until the rest fits in. */
void ttt_store_fit(ttt_store *store);
/* Without the mutex: a copy of a held state; and its file, as ttt_store_read has it. */
ttt_state *ttt_held_copy(ttt_held *held, ttt_refusal *refusal);
bool ttt_held_write(ttt_held *held, const char *name, const char *parent, void **bytes, size_t *size,
                    ttt_refusal *refusal);

/* ---- store_files.c: without the mutex, but for what `entry` says of an entry that is claimed ---- */

bool ttt_files_open(ttt_store *store, ttt_refusal *refusal); /* locks the folder and fills the index */
void ttt_files_close(ttt_store *store);
/* Writes the file of a claimed entry; on success `about` says what it is now, and the disk is accounted for. */
bool ttt_files_save(ttt_store *store, const ttt_entry *entry, ttt_held *held, const char *parent, const char *note,
                    ttt_store_about *about, ttt_refusal *refusal);
bool ttt_files_remove(ttt_store *store, const ttt_entry *entry, ttt_refusal *refusal);
/* The file of an entry, open. Close with ttt_state_file_close. NULL: refused. */
ttt_state_file *ttt_files_read(ttt_store *store, const char *owner, ttt_kept kind, const char *name,
                               ttt_refusal *refusal);
bool ttt_files_bytes(ttt_store *store, const char *owner, const char *name, void **bytes, size_t *size,
                     ttt_store_about *about, ttt_refusal *refusal);
void ttt_files_about(const ttt_state_file *file, ttt_store_about *about);

#endif
