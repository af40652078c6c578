/* SPDX-License-Identifier: MIT
 *
 * The states of the store in memory: which of them stay, and which of them has read what a new text begins with.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_index.h"

/* ---- held states ---- */

ttt_held *ttt_held_new(ttt_store *store, ttt_state *state)
{
    ttt_held *held = calloc(1, sizeof *held);
    if (!held) {
        ttt_state_free(state);
        return NULL;
    }
    held->state = state;
    held->bytes = ttt_state_bytes(state);
    held->users = 1;
    pthread_mutex_init(&held->reading, NULL);
    store->figures.memory += held->bytes;
    return held;
}

void ttt_held_release(ttt_store *store, ttt_held *held)
{
    if (!held || --held->users > 0) return;
    store->figures.memory -= held->bytes;
    pthread_mutex_destroy(&held->reading);
    ttt_state_free(held->state);
    free(held);
}

ttt_state *ttt_held_copy(ttt_held *held, ttt_refusal *refusal)
{
    ttt_state *state;
    pthread_mutex_lock(&held->reading);
    ttt_status status = ttt_state_new(&state, ttt_state_model(held->state));
    if (status == TTT_OK) status = ttt_state_copy(state, held->state);
    pthread_mutex_unlock(&held->reading);
    if (status == TTT_OK) return state;
    ttt_state_free(state);
    ttt_refuse_failure(refusal, status);
    return NULL;
}

bool ttt_held_write(ttt_held *held, const char *name, const char *parent, void **bytes, size_t *size,
                    ttt_refusal *refusal)
{
    int64_t count;
    void *written;
    pthread_mutex_lock(&held->reading);
    const ttt_state_about about = {
        .name = name, .parent = parent, .tokens = ttt_state_tokens(held->state, &count) != NULL};
    const ttt_status status = ttt_state_write(held->state, &about, &written, size);
    pthread_mutex_unlock(&held->reading);
    *bytes = status == TTT_OK ? malloc(*size) : NULL; /* what HTTP takes over is of malloc */
    if (*bytes) memcpy(*bytes, written, *size);
    if (status == TTT_OK) ttt_state_bytes_free(written);
    if (status != TTT_OK) ttt_refuse_failure(refusal, status);
    if (!*bytes) ttt_refuse(refusal, 503, NULL, "the server is out of memory: try again");
    return *bytes;
}

/* ---- which of them stay ---- */

static void unlink_used(ttt_store *store, ttt_entry *entry)
{
    *(entry->newer ? &entry->newer->older : &store->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &store->oldest) = entry->newer;
    entry->newer = entry->older = NULL;
}

static void link_newest(ttt_store *store, ttt_entry *entry)
{
    entry->older = store->newest;
    *(store->newest ? &store->newest->newer : &store->oldest) = entry;
    store->newest = entry;
}

void ttt_entry_used(ttt_store *store, ttt_entry *entry)
{
    unlink_used(store, entry);
    link_newest(store, entry);
}

void ttt_entry_hold(ttt_store *store, ttt_entry *entry, ttt_held *held)
{
    if (entry->held) {
        unlink_used(store, entry);
        ttt_held_release(store, entry->held);
    }
    entry->held = held;
    if (held) link_newest(store, entry);
}

/* Sessions stay where there is no disk for them. */
static bool may_leave(const ttt_store *store, const ttt_entry *entry)
{
    if (entry->kind == TTT_KEPT_CACHE) return true;
    return store->folder ? entry->exists : entry->kind == TTT_KEPT_RESPONSE && !entry->claimed;
}

void ttt_store_fit(ttt_store *store)
{
    ttt_entry *entry = store->oldest;
    while (entry && store->figures.memory > store->options.memory) {
        ttt_entry *newer = entry->newer;
        if (may_leave(store, entry)) {
            if (entry->kind == TTT_KEPT_CACHE || !store->folder)
                ttt_index_remove(store, entry);
            else
                ttt_entry_hold(store, entry, NULL);
        }
        entry = newer;
    }
}

void ttt_store_keep(ttt_store *store, const char *owner, ttt_state *state)
{
    char name[TTT_STORE_NAME];
    int64_t count;
    if (!ttt_state_tokens(state, &count) || count == 0) {
        ttt_state_free(state);
        return;
    }
    pthread_mutex_lock(&store->mutex);
    ttt_held *held = ttt_held_new(store, state);
    snprintf(name, sizeof name, "%016" PRIx64, store->cached++);
    ttt_entry *entry = held ? ttt_index_add(store, owner, TTT_KEPT_CACHE, name) : NULL;
    if (entry) {
        entry->exists = entry->known = true;
        entry->about.position = ttt_state_position(state);
        ttt_entry_hold(store, entry, held);
        ttt_store_fit(store);
    } else
        ttt_held_release(store, held);
    pthread_mutex_unlock(&store->mutex);
}

/* ---- what was read before ---- */

static int64_t common(const int32_t *a, int64_t a_count, const int32_t *b, int64_t b_count)
{
    const int64_t count = a_count < b_count ? a_count : b_count;
    int64_t n = 0;
    while (n < count && a[n] == b[n]) n++;
    return n;
}

/* The best that is known so far. */
typedef struct best {
    ttt_held *held; /* NULL: nothing */
    int64_t read;   /* ids that it and the text begin with */
    ttt_kept kind;
    char name[TTT_STORE_NAME];
} best;

/* Of those in memory, which are compared id by id. */
static void look_in_memory(ttt_store *store, const char *owner, const int32_t *ids, int64_t count, best *b)
{
    for (ttt_entry *entry = store->newest; entry && b->read < count; entry = entry->older) {
        int64_t read;
        const int32_t *tokens = ttt_state_tokens(entry->held->state, &read);
        if (!entry->exists || !tokens || strcmp(entry->owner, owner) != 0) continue;
        const int64_t n = common(tokens, read, ids, count);
        if (n <= b->read) continue;
        *b = (best){.held = entry->held, .read = n, .kind = entry->kind};
        memcpy(b->name, entry->about.name, sizeof b->name);
    }
    if (b->held) b->held->users++;
}

static int by_position(const void *a, const void *b)
{
    const int64_t p = (*(ttt_entry *const *)a)->about.position, q = (*(ttt_entry *const *)b)->about.position;
    return (p > q) - (p < q);
}

/* The longest of those on disk alone that is longer, by the hash of all that it has read; it is compared once it is
 * loaded. */
static bool look_on_disk(ttt_store *store, const char *owner, const int32_t *ids, int64_t count, best *b)
{
    ttt_entry **some = malloc(store->count * sizeof *some + 1);
    size_t found = 0;
    ttt_token_hash hash = {0};
    int64_t hashed = 0;
    const int64_t least = b->read;
    for (size_t i = 0; some && i < store->count; i++) {
        ttt_entry *entry = store->entries[i];
        if (entry->exists && entry->known && !entry->held && strcmp(entry->owner, owner) == 0 &&
            entry->about.position > least && entry->about.position < count)
            some[found++] = entry;
    }
    if (found > 0) qsort(some, found, sizeof *some, by_position);
    for (size_t i = 0; i < found; i++) {
        const ttt_entry *entry = some[i];
        ttt_token_hash_add(&hash, ids + hashed, entry->about.position - hashed);
        hashed = entry->about.position;
        if (hash.low != entry->hash.low || hash.high != entry->hash.high) continue;
        b->read = hashed;
        b->kind = entry->kind;
        memcpy(b->name, entry->about.name, sizeof b->name);
    }
    free(some);
    return b->read > least;
}

static best look(ttt_store *store, const char *owner, const int32_t *ids, int64_t count)
{
    best b = {0};
    pthread_mutex_lock(&store->mutex);
    look_in_memory(store, owner, ids, count, &b);
    best file = b;
    const bool on_disk = look_on_disk(store, owner, ids, count, &file);
    pthread_mutex_unlock(&store->mutex);
    if (!on_disk) return b;
    ttt_refusal none = {0};
    int64_t read;
    file.held = ttt_store_hold(store, owner, file.kind, file.name, &none);
    const int32_t *tokens = file.held ? ttt_state_tokens(file.held->state, &read) : NULL;
    const bool same = tokens && common(tokens, read, ids, count) == file.read && read == file.read;
    pthread_mutex_lock(&store->mutex);
    ttt_held_release(store, same ? b.held : file.held);
    pthread_mutex_unlock(&store->mutex);
    return same ? file : b;
}

ttt_state *ttt_store_prefix(ttt_store *store, const char *owner, const int32_t *ids, int64_t count, char why[256])
{
    static const char *const kinds[] = {"session ", "response ", "the cache"};
    enum { WHY = 256 };
    why[0] = '\0';
    best b = count > 1 ? look(store, owner, ids, count) : (best){0};
    if (!b.held) return NULL;
    ttt_refusal none = {0};
    ttt_state *state = ttt_held_copy(b.held, &none);
    pthread_mutex_lock(&store->mutex);
    ttt_held_release(store, b.held);
    pthread_mutex_unlock(&store->mutex);
    const int64_t wanted = b.read < count ? b.read : count - 1; /* the last one's logits are wanted */
    if (state && ttt_state_position(state) > wanted) {
        const int32_t *again;
        int64_t again_count;
        if (ttt_state_rewind(state, wanted, &again, &again_count) != TTT_OK) {
            ttt_state_free(state);
            state = NULL;
        }
    }
    const int64_t reused = state ? ttt_state_position(state) : 0;
    int said = snprintf(why, WHY, "%s%.64s begins alike for %lld of %lld tokens", kinds[b.kind],
                        b.kind == TTT_KEPT_CACHE ? "" : b.name, (long long)b.read, (long long)count);
    if (reused < b.read && said > 0 && said < WHY)
        snprintf(why + said, (size_t)(WHY - said),
                 reused ? ", and its nearest snapshot is at %lld" : ", and it has no snapshot before that",
                 (long long)reused);
    if (reused > 0) return state;
    ttt_state_free(state);
    return NULL;
}
