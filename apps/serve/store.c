/* SPDX-License-Identifier: MIT
 *
 * The index of the store, and what changes it: claims, sessions, forks, responses. Whatever changes an entry claims it
 * first, does the slow part (a file, a copy) with the mutex free, and then puts what is new in place with the mutex.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_index.h"

/* ---- the index ---- */

static int compare(const ttt_entry *entry, const char *owner, ttt_kept kind, const char *name)
{
    const int by_owner = strcmp(entry->owner, owner);
    if (by_owner != 0) return by_owner;
    return entry->kind != kind ? (entry->kind > kind) - (entry->kind < kind) : strcmp(entry->about.name, name);
}

/* The place of the first entry that is not before this one. */
static size_t place(const ttt_store *store, const char *owner, ttt_kept kind, const char *name)
{
    size_t low = 0, high = store->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (compare(store->entries[middle], owner, kind, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

ttt_entry *ttt_index_find(ttt_store *store, const char *owner, ttt_kept kind, const char *name)
{
    const size_t at = place(store, owner, kind, name);
    return at < store->count && compare(store->entries[at], owner, kind, name) == 0 ? store->entries[at] : NULL;
}

ttt_entry *ttt_index_add(ttt_store *store, const char *owner, ttt_kept kind, const char *name)
{
    if (store->count == store->capacity) {
        const size_t capacity = store->capacity ? 2 * store->capacity : 64;
        ttt_entry **entries = realloc(store->entries, capacity * sizeof *entries);
        if (!entries) return NULL;
        store->entries = entries;
        store->capacity = capacity;
    }
    ttt_entry *entry = calloc(1, sizeof *entry);
    if (!entry) return NULL;
    snprintf(entry->owner, sizeof entry->owner, "%s", owner);
    snprintf(entry->about.name, sizeof entry->about.name, "%s", name);
    entry->kind = kind;
    const size_t at = place(store, owner, kind, name);
    memmove(store->entries + at + 1, store->entries + at, (store->count - at) * sizeof *store->entries);
    store->entries[at] = entry;
    store->count++;
    return entry;
}

void ttt_index_remove(ttt_store *store, ttt_entry *entry)
{
    const size_t at = place(store, entry->owner, entry->kind, entry->about.name);
    store->count--;
    memmove(store->entries + at, store->entries + at + 1, (store->count - at) * sizeof *store->entries);
    ttt_entry_hold(store, entry, NULL);
    free(entry->note);
    free(entry);
}

/* ---- refusals ---- */

void ttt_refuse_failure(ttt_refusal *refusal, ttt_status status)
{
    ttt_refuse(refusal, status == TTT_ERR_MEMORY ? 503 : 500, NULL, "%s", ttt_error_detail());
}

static void refuse_memory(ttt_refusal *refusal)
{
    ttt_refuse(refusal, 503, NULL, "the server is out of memory: try again");
}

static void refuse_unknown(ttt_refusal *refusal, ttt_kept kind, const char *name)
{
    ttt_refuse(refusal, 404, NULL, "there is no %s %.128s", kind == TTT_KEPT_RESPONSE ? "response" : "session", name);
}

bool ttt_store_name(const char *name, ttt_refusal *refusal)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const size_t length = strnlen(name, TTT_STORE_NAME);
    if (length > 0 && length < TTT_STORE_NAME && name[0] != '.' && name[strspn(name, letters)] == '\0') return true;
    ttt_refuse(refusal, 400, "session", "a name is 1 to %d of A-Z a-z 0-9 . _ - and does not begin with a dot",
               TTT_STORE_NAME - 1);
    return false;
}

/* ---- the store ---- */

bool ttt_store_new(ttt_store **out, const ttt_store_options *options, ttt_refusal *refusal)
{
    ttt_store *store = calloc(1, sizeof *store);
    *out = NULL;
    if (!store) return refuse_memory(refusal), false;
    store->options = *options;
    store->folder_lock = -1;
    pthread_mutex_init(&store->mutex, NULL);
    if (options->folder && !ttt_files_open(store, refusal)) return ttt_store_free(store), false;
    *out = store;
    return true;
}

void ttt_store_free(ttt_store *store)
{
    if (!store) return;
    while (store->count > 0) ttt_index_remove(store, store->entries[store->count - 1]);
    ttt_files_close(store);
    pthread_mutex_destroy(&store->mutex);
    free(store->entries);
    free(store);
}

void ttt_store_measure(ttt_store *store, ttt_store_figures *figures)
{
    pthread_mutex_lock(&store->mutex);
    *figures = store->figures;
    for (size_t i = 0; i < store->count; i++) {
        const ttt_entry *entry = store->entries[i];
        figures->sessions += entry->exists && entry->kind == TTT_KEPT_SESSION;
        figures->responses += entry->exists && entry->kind == TTT_KEPT_RESPONSE;
        figures->cached += entry->kind == TTT_KEPT_CACHE;
    }
    pthread_mutex_unlock(&store->mutex);
}

void ttt_store_refused(ttt_store *store, int status)
{
    const ttt_refused reason = status == 404   ? TTT_REFUSED_UNKNOWN
                               : status == 409 ? TTT_REFUSED_CONFLICT
                               : status == 422 ? TTT_REFUSED_FOREIGN
                               : status == 507 ? TTT_REFUSED_FULL
                                               : TTT_REFUSED_OTHER;
    pthread_mutex_lock(&store->mutex);
    store->figures.refused[reason]++;
    pthread_mutex_unlock(&store->mutex);
}

void ttt_store_rolled_back(ttt_store *store)
{
    pthread_mutex_lock(&store->mutex);
    store->figures.rolled_back++;
    pthread_mutex_unlock(&store->mutex);
}

/* ---- looking ---- */

static ttt_entry *existing(ttt_store *store, const char *owner, ttt_kept kind, const char *name)
{
    ttt_entry *entry = ttt_index_find(store, owner, kind, name);
    return entry && entry->exists ? entry : NULL;
}

/* Has all of an entry known that may be: from its file, if so far only the name is. */
static bool learn(ttt_store *store, const char *owner, ttt_kept kind, const char *name, ttt_store_about *about,
                  ttt_refusal *refusal)
{
    ttt_state_file *file = ttt_files_read(store, owner, kind, name, refusal);
    if (!file) return false;
    ttt_files_about(file, about);
    const ttt_token_hash hash = ttt_state_file_info(file)->token_hash;
    ttt_state_file_close(file);
    pthread_mutex_lock(&store->mutex);
    ttt_entry *entry = existing(store, owner, kind, name);
    if (entry && !entry->known) {
        about->changed = entry->about.changed;
        about->bytes = entry->about.bytes;
        entry->about = *about;
        entry->hash = hash;
        entry->known = true;
    }
    pthread_mutex_unlock(&store->mutex);
    return true;
}

static ttt_store_about shown(const ttt_entry *entry)
{
    ttt_store_about about = entry->about;
    about.in_memory = entry->held;
    about.busy = entry->claimed;
    return about;
}

bool ttt_store_find(ttt_store *store, const char *owner, ttt_kept kind, const char *name, ttt_store_about *about,
                    ttt_refusal *refusal)
{
    pthread_mutex_lock(&store->mutex);
    const ttt_entry *entry = existing(store, owner, kind, name);
    const bool known = entry && entry->known;
    if (entry) *about = shown(entry);
    pthread_mutex_unlock(&store->mutex);
    if (!entry) return refuse_unknown(refusal, kind, name), false;
    return known || learn(store, owner, kind, name, about, refusal);
}

size_t ttt_store_list(ttt_store *store, const char *owner, const char *after, size_t limit, ttt_store_about **list,
                      bool *more)
{
    size_t found = 0;
    *more = false;
    *list = calloc(limit ? limit : 1, sizeof **list);
    if (!*list) return 0;
    pthread_mutex_lock(&store->mutex);
    for (size_t at = place(store, owner, TTT_KEPT_SESSION, after ? after : ""); at < store->count; at++) {
        const ttt_entry *entry = store->entries[at];
        if (strcmp(entry->owner, owner) != 0 || entry->kind != TTT_KEPT_SESSION) break;
        if (!entry->exists || (after && strcmp(entry->about.name, after) == 0)) continue;
        *more = found == limit;
        if (*more) break;
        (*list)[found++] = shown(entry);
    }
    pthread_mutex_unlock(&store->mutex);
    return found;
}

ttt_held *ttt_store_hold(ttt_store *store, const char *owner, ttt_kept kind, const char *name, ttt_refusal *refusal)
{
    pthread_mutex_lock(&store->mutex);
    ttt_entry *entry = existing(store, owner, kind, name);
    ttt_held *held = entry ? entry->held : NULL;
    if (held) {
        held->users++;
        ttt_entry_used(store, entry);
    }
    pthread_mutex_unlock(&store->mutex);
    if (held) return held;
    if (!entry) return refuse_unknown(refusal, kind, name), NULL;

    ttt_state_file *file = ttt_files_read(store, owner, kind, name, refusal);
    if (!file) return NULL;
    ttt_state *state;
    const ttt_status status = ttt_state_file_load(file, store->options.model, &state);
    if (status != TTT_OK) {
        ttt_refuse(refusal, status == TTT_ERR_ARGUMENT ? 422 : 500, "session", "%s", ttt_error_detail());
        ttt_state_file_close(file);
        return NULL;
    }
    pthread_mutex_lock(&store->mutex);
    store->figures.loaded++;
    held = ttt_held_new(store, state);
    entry = existing(store, owner, kind, name);
    /* It may have changed while the file was read; then what was read is what it was when it was asked for. */
    if (held && entry && !entry->held &&
        (!entry->known || strcmp(entry->about.etag, ttt_state_file_info(file)->checksum) == 0)) {
        held->users++;
        ttt_entry_hold(store, entry, held);
        ttt_store_fit(store);
    }
    pthread_mutex_unlock(&store->mutex);
    ttt_state_file_close(file);
    if (!held) refuse_memory(refusal);
    return held;
}

static void let_go(ttt_store *store, ttt_held *held)
{
    pthread_mutex_lock(&store->mutex);
    ttt_held_release(store, held);
    pthread_mutex_unlock(&store->mutex);
}

ttt_state *ttt_store_copy(ttt_store *store, const char *owner, ttt_kept kind, const char *name, ttt_refusal *refusal)
{
    ttt_held *held = ttt_store_hold(store, owner, kind, name, refusal);
    if (!held) return NULL;
    ttt_state *state = ttt_held_copy(held, refusal);
    let_go(store, held);
    return state;
}

bool ttt_store_read(ttt_store *store, const char *owner, const char *name, void **bytes, size_t *size,
                    ttt_store_about *about, ttt_refusal *refusal)
{
    *bytes = NULL;
    if (!ttt_store_find(store, owner, TTT_KEPT_SESSION, name, about, refusal)) return false;
    if (store->folder) return ttt_files_bytes(store, owner, name, bytes, size, about, refusal);
    ttt_held *held = ttt_store_hold(store, owner, TTT_KEPT_SESSION, name, refusal);
    const bool done = held && ttt_held_write(held, name, about->parent, bytes, size, refusal);
    if (held) let_go(store, held);
    return done;
}

int32_t *ttt_store_tokens(ttt_store *store, const char *owner, const char *name, ttt_store_about *about,
                          ttt_refusal *refusal)
{
    if (!ttt_store_find(store, owner, TTT_KEPT_SESSION, name, about, refusal)) return NULL;
    ttt_held *held = ttt_store_hold(store, owner, TTT_KEPT_SESSION, name, refusal);
    if (!held) return NULL;
    int64_t count;
    const int32_t *tokens = ttt_state_tokens(held->state, &count);
    int32_t *copy = tokens ? malloc((size_t)count * sizeof *copy + 1) : NULL;
    if (copy && count > 0) memcpy(copy, tokens, (size_t)count * sizeof *copy);
    about->position = ttt_state_position(held->state); /* it may have moved in between */
    let_go(store, held);
    if (!tokens) ttt_refuse(refusal, 409, NULL, "session %s was made without its tokens", name);
    if (tokens && !copy) refuse_memory(refusal);
    return copy;
}

/* ---- claims ---- */

static bool meets(const ttt_entry *entry, const char *name, const ttt_store_condition *want, ttt_refusal *refusal)
{
    const bool exists = entry && entry->exists;
    const char *etag = exists ? entry->about.etag : "";
    const int64_t position = exists ? entry->about.position : 0;
    if (!exists && want->must_exist)
        refuse_unknown(refusal, TTT_KEPT_SESSION, name);
    else if (want->match && (!exists || (strcmp(want->match, "*") != 0 && strcmp(want->match, etag) != 0)))
        ttt_refuse(refusal, 409, "If-Match", "session %s is not what If-Match says: another request changed it", name);
    else if (want->none_match && exists && (strcmp(want->none_match, "*") == 0 || strcmp(want->none_match, etag) == 0))
        ttt_refuse(refusal, 409, "If-None-Match", "session %s exists already", name);
    else if (want->position >= 0 && want->position != position)
        ttt_refuse(refusal, 409, "position", "session %s has read %lld tokens, not %lld: another request moved it",
                   name, (long long)position, (long long)want->position);
    else
        return true;
    return false;
}

static bool wait_for(ttt_entry *entry, void (*wake)(void *context), void *context)
{
    ttt_waiter *waiter = malloc(sizeof *waiter), **last = &entry->waiting;
    if (!waiter) return false;
    *waiter = (ttt_waiter){.wake = wake, .context = context};
    while (*last) last = &(*last)->next;
    *last = waiter;
    return true;
}

ttt_claim *ttt_store_claim(ttt_store *store, const char *owner, const char *name, const ttt_store_condition *condition,
                           void (*wake)(void *context), void *context, ttt_refusal *refusal)
{
    ttt_store_about about;
    ttt_claim *claim = NULL;
    if (!ttt_store_name(name, refusal)) return NULL;
    ttt_refusal none = {0};
    ttt_store_find(store, owner, TTT_KEPT_SESSION, name, &about, &none); /* so that it is known, if it exists */
    if (none.status != 0 && none.status != 404) return *refusal = none, NULL;
    pthread_mutex_lock(&store->mutex);
    ttt_entry *entry = ttt_index_find(store, owner, TTT_KEPT_SESSION, name);
    if (entry && entry->claimed) {
        if (!wait_for(entry, wake, context)) refuse_memory(refusal);
    } else if (meets(entry, name, condition, refusal)) {
        claim = malloc(sizeof *claim);
        if (claim && !entry) entry = ttt_index_add(store, owner, TTT_KEPT_SESSION, name);
        if (claim && entry) {
            *claim = (ttt_claim){.store = store, .entry = entry};
            entry->claimed = true;
        } else {
            free(claim);
            claim = NULL;
            refuse_memory(refusal);
        }
    }
    pthread_mutex_unlock(&store->mutex);
    return claim;
}

/* Ends a claim, with the mutex, which is given up; `remove`: so does its entry, as one does that was never made. */
static void unclaim(ttt_claim *claim, bool remove)
{
    ttt_store *store = claim->store;
    ttt_entry *entry = claim->entry;
    ttt_waiter *waiting = entry->waiting;
    entry->waiting = NULL;
    entry->claimed = false;
    if (remove || !entry->exists) ttt_index_remove(store, entry);
    pthread_mutex_unlock(&store->mutex);
    free(claim);
    while (waiting) {
        ttt_waiter *next = waiting->next;
        waiting->wake(waiting->context);
        free(waiting);
        waiting = next;
    }
}

void ttt_claim_drop(ttt_claim *claim)
{
    if (!claim) return;
    pthread_mutex_lock(&claim->store->mutex);
    unclaim(claim, false);
}

static ttt_state *new_state(const ttt_model *model, ttt_refusal *refusal)
{
    ttt_state *state;
    ttt_status status = ttt_state_new(&state, model);
    if (status == TTT_OK) status = ttt_state_remember(state);
    if (status == TTT_OK) return state;
    ttt_state_free(state);
    ttt_refuse_failure(refusal, status);
    return NULL;
}

bool ttt_claim_exists(const ttt_claim *claim) { return claim->entry->exists; }

ttt_state *ttt_claim_state(ttt_claim *claim, ttt_refusal *refusal)
{
    const ttt_entry *entry = claim->entry;
    return entry->exists ? ttt_store_copy(claim->store, entry->owner, entry->kind, entry->about.name, refusal)
                         : new_state(claim->store->options.model, refusal);
}

/* What a claimed entry becomes: `held`, whose user it takes over. */
static bool put(ttt_store *store, ttt_entry *entry, ttt_held *held, const char *parent, const char *note,
                ttt_store_about *about, ttt_refusal *refusal)
{
    ttt_store_about is = entry->about;
    if (!parent) parent = entry->about.parent;
    const bool saved = ttt_files_save(store, entry, held, parent, note, &is, refusal);
    pthread_mutex_lock(&store->mutex);
    if (saved) {
        entry->about = is;
        entry->hash = ttt_state_token_hash(held->state);
        entry->exists = entry->known = true;
        ttt_entry_hold(store, entry, held);
        ttt_store_fit(store);
        if (about) *about = shown(entry);
        if (about) about->busy = false; /* to others, until this request has ended */
    } else
        ttt_held_release(store, held);
    pthread_mutex_unlock(&store->mutex);
    return saved;
}

static ttt_held *held_new(ttt_store *store, ttt_state *state, ttt_refusal *refusal)
{
    pthread_mutex_lock(&store->mutex);
    ttt_held *held = ttt_held_new(store, state);
    pthread_mutex_unlock(&store->mutex);
    if (!held) refuse_memory(refusal);
    return held;
}

bool ttt_claim_put(ttt_claim *claim, ttt_state *state, const char *parent, ttt_store_about *about, ttt_refusal *refusal)
{
    ttt_held *held = held_new(claim->store, state, refusal);
    const bool done = held && put(claim->store, claim->entry, held, parent, NULL, about, refusal);
    ttt_claim_drop(claim);
    return done;
}

bool ttt_claim_remove(ttt_claim *claim, ttt_refusal *refusal)
{
    const bool done = ttt_files_remove(claim->store, claim->entry, refusal);
    pthread_mutex_lock(&claim->store->mutex);
    unclaim(claim, done);
    return done;
}

static void nobody_waits(void *context) { (void)context; }

bool ttt_store_fork(ttt_store *store, const char *owner, const char *name, const char *to, ttt_store_about *about,
                    ttt_refusal *refusal)
{
    const ttt_store_condition new_one = {.none_match = "*", .position = -1};
    ttt_held *held = ttt_store_hold(store, owner, TTT_KEPT_SESSION, name, refusal);
    if (!held) return false;
    ttt_claim *claim = ttt_store_claim(store, owner, to, &new_one, nobody_waits, NULL, refusal);
    if (!claim) {
        let_go(store, held);
        ttt_refuse(refusal, 409, "to", "session %s is being made by another request", to);
        return false;
    }
    const bool done = put(store, claim->entry, held, name, NULL, about, refusal);
    pthread_mutex_lock(&store->mutex);
    store->figures.forked += done;
    unclaim(claim, false);
    return done;
}

/* ---- responses ---- */

bool ttt_store_answer(ttt_store *store, const char *owner, const char *id, ttt_state *state, const char *parent,
                      const char *note, ttt_refusal *refusal)
{
    bool done = false;
    char *kept = store->folder ? NULL : strdup(note);
    pthread_mutex_lock(&store->mutex);
    ttt_entry *entry = store->folder || kept ? ttt_index_add(store, owner, TTT_KEPT_RESPONSE, id) : NULL;
    if (entry) entry->claimed = true;
    pthread_mutex_unlock(&store->mutex);
    if (entry)
        entry->note = kept;
    else
        free(kept);
    ttt_held *held = held_new(store, state, refusal);
    if (entry && held)
        done = put(store, entry, held, parent, note, NULL, refusal);
    else
        let_go(store, held);
    pthread_mutex_lock(&store->mutex);
    if (entry) entry->claimed = false;
    if (entry && !done) ttt_index_remove(store, entry);
    pthread_mutex_unlock(&store->mutex);
    if (!done) refuse_memory(refusal);
    return done;
}

char *ttt_store_note(ttt_store *store, const char *owner, const char *id, ttt_refusal *refusal)
{
    const bool on_disk = store->folder;
    pthread_mutex_lock(&store->mutex);
    ttt_entry *entry = existing(store, owner, TTT_KEPT_RESPONSE, id);
    char *note = entry && !on_disk ? strdup(entry->note) : NULL;
    pthread_mutex_unlock(&store->mutex);
    if (!entry) return refuse_unknown(refusal, TTT_KEPT_RESPONSE, id), NULL;
    if (on_disk) {
        ttt_state_file *file = ttt_files_read(store, owner, TTT_KEPT_RESPONSE, id, refusal);
        if (file) note = strdup(ttt_state_file_info(file)->note);
        ttt_state_file_close(file);
    }
    if (!note) refuse_memory(refusal); /* unless it was refused already */
    return note;
}

bool ttt_store_forget(ttt_store *store, const char *owner, const char *id, ttt_refusal *refusal)
{
    pthread_mutex_lock(&store->mutex);
    ttt_entry *entry = existing(store, owner, TTT_KEPT_RESPONSE, id);
    if (entry && entry->claimed) entry = NULL; /* another request is about to forget it */
    if (entry) entry->claimed = true;
    pthread_mutex_unlock(&store->mutex);
    if (!entry) return refuse_unknown(refusal, TTT_KEPT_RESPONSE, id), false;
    const bool done = ttt_files_remove(store, entry, refusal);
    pthread_mutex_lock(&store->mutex);
    entry->claimed = false;
    if (done) ttt_index_remove(store, entry);
    pthread_mutex_unlock(&store->mutex);
    return done;
}
