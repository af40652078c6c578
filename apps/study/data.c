/* SPDX-License-Identifier: MIT */
#include "data.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <ttt/model.h>
#include <unistd.h>

typedef struct preparing {
    study *s;
    char id[STUDY_ID];
    const char *folder, *documents; /* below runs/ */
    ttt_status (*progress)(void *, double, const char *);
    void *context;
} preparing;

static bool identify(study *s, char id[STUDY_ID])
{
    json_t *definition = json_pack("{s:s, s:O}", "kind", "data", "data", json_object_get(s->root, "data"));
    const bool ok = definition ? study_identify(s, definition, id) : study_fail(&s->error, "out of memory");
    json_decref(definition);
    return ok;
}

static char *folder_of(study *s, const char *kind)
{
    char id[STUDY_ID], name[64];
    if (!identify(s, id)) return NULL;
    snprintf(name, sizeof name, "%s-%s", kind, id);
    return study_run_path(s, name);
}

char *study_data_folder(study *s) { return folder_of(s, "data"); }

/* A path of the file, which is relative to its folder. */
static char *path_of(study *s, const char *path)
{
    return *path == '/' ? study_print(s, "%s", path) : study_print(s, "%s/%s", s->folder, path);
}

/* ---- the texts to train on ---- */

static bool set_options(const preparing *p, ttt_data_options *o)
{
    study *s = p->s;
    const char **texts = study_keep(s, calloc(s->train_count + 1, sizeof *texts));
    for (size_t i = 0; i < s->train_count && texts; i++) texts[i] = path_of(s, s->train[i]);
    ttt_data_options_init(o);
    o->texts = texts;
    o->text_count = s->train_count;
    const bool made = strcmp(s->tokenizer, "byte") == 0 || strncmp(s->tokenizer, "bpe:", 4) == 0;
    o->tokenizer = made ? s->tokenizer : path_of(s, s->tokenizer);
    o->valid_fraction = s->held_out;
    o->progress = p->progress;
    o->warn_context = p->context;
    return !*s->error.text;
}

static json_t *describe(const int32_t *ids, int64_t count, int64_t bytes)
{
    ttt_token_hash hash = {0};
    char text[40];
    ttt_token_hash_add(&hash, ids, count);
    snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)hash.high, (unsigned long long)hash.low);
    return json_pack("{s:I, s:I, s:s}", "tokens", (json_int_t)count, "bytes", (json_int_t)bytes, "hash", text);
}

static json_t *describe_split(study *s, const ttt_data *data, ttt_split split)
{
    const int64_t count = ttt_data_tokens(data, split);
    int32_t *ids = malloc(((size_t)count + 1) * sizeof *ids);
    json_t *object = NULL;
    if (!ids)
        study_fail(&s->error, "out of memory");
    else if (ttt_data_read(data, split, 0, count, ids) != TTT_OK)
        study_fail(&s->error, "%s", ttt_error_detail());
    else
        object = describe(ids, count, ttt_data_bytes(data, split));
    free(ids);
    return object;
}

/* ---- documents ---- */

typedef struct document_list {
    char **paths;
    size_t count;
} document_list;

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool add_path(study *s, document_list *list, char *path)
{
    char **paths = path ? realloc(list->paths, (list->count + 1) * sizeof *paths) : NULL;
    if (!paths) return study_fail(&s->error, "out of memory");
    list->paths = paths;
    list->paths[list->count++] = path;
    return true;
}

/* A file, or the files of a folder by name. */
static bool add_documents(study *s, document_list *list, char *path)
{
    struct stat status;
    if (!path || stat(path, &status) != 0)
        return study_fail(&s->error, "cannot read the document %s: %s", path ? path : "", strerror(errno));
    if (!S_ISDIR(status.st_mode)) return add_path(s, list, path);
    const size_t first = list->count;
    DIR *folder = opendir(path);
    if (!folder) return study_fail(&s->error, "cannot read the folder %s: %s", path, strerror(errno));
    for (struct dirent *entry; (entry = readdir(folder));) {
        char *file = study_print(s, "%s/%s", path, entry->d_name);
        if (*entry->d_name == '.' || !file || stat(file, &status) != 0 || !S_ISREG(status.st_mode)) continue;
        if (!add_path(s, list, file)) break;
    }
    closedir(folder);
    if (list->count > first) qsort(list->paths + first, list->count - first, sizeof *list->paths, by_name);
    if (list->count == first) study_fail(&s->error, "the folder %s has no documents in it", path);
    return !*s->error.text;
}

static json_t *prepare_document(const preparing *p, const ttt_tokenizer *tokenizer, const char *set, size_t index,
                                const char *path)
{
    study *s = p->s;
    ttt_ids ids = {0};
    int64_t bytes = 0;
    ttt_data_options o;
    ttt_data_options_init(&o);
    o.texts = &path;
    o.text_count = 1;
    json_t *object = NULL;
    const char *file = study_print(s, "%s/%s-%zu.ids", p->documents, set, index);
    if (ttt_texts_tokenize(&o, tokenizer, &ids, &bytes) != TTT_OK)
        study_fail(&s->error, "%s", ttt_error_detail());
    else if (file && study_write(s, file, ids.data, ids.count * sizeof *ids.data)) {
        object = describe(ids.data, (int64_t)ids.count, bytes);
        const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
        const char *dot = strrchr(name, '.');
        json_object_set_new(object, "name",
                            json_stringn(name, dot && dot > name ? (size_t)(dot - name) : strlen(name)));
    }
    ttt_ids_deinit(&ids);
    return object;
}

static json_t *prepare_set(const preparing *p, const ttt_tokenizer *tokenizer, const study_documents *set)
{
    document_list list = {0};
    json_t *objects = json_array();
    for (size_t i = 0; i < set->count; i++)
        if (!add_documents(p->s, &list, path_of(p->s, set->paths[i]))) break;
    for (size_t i = 0; i < list.count && !*p->s->error.text; i++)
        json_array_append_new(objects, prepare_document(p, tokenizer, set->name, i, list.paths[i]));
    free(list.paths);
    return objects;
}

/* ---- all of it ---- */

static json_t *prepare(const preparing *p)
{
    study *s = p->s;
    ttt_data_options o;
    ttt_data *data = NULL;
    if (!set_options(p, &o) || !study_make_folder(s, p->documents)) return NULL;
    ttt_status status = ttt_data_is_folder(p->folder) ? TTT_OK : ttt_data_prepare(p->folder, &o);
    if (status == TTT_OK) status = ttt_data_open(&data, p->folder);
    if (status == TTT_OK) status = ttt_data_check(data, &o);
    if (status != TTT_OK) study_fail(&s->error, "%s", ttt_error_detail());
    json_t *documents = json_object();
    for (size_t i = 0; i < s->document_count && status == TTT_OK && !*s->error.text; i++)
        json_object_set_new(documents, s->documents[i].name,
                            prepare_set(p, ttt_data_tokenizer(data), &s->documents[i]));
    json_t *object = NULL;
    if (status == TTT_OK)
        object = json_pack("{s:s, s:I, s:o*, s:o*, s:O}", "status", "done", "vocabulary",
                           (json_int_t)ttt_tokenizer_vocabulary(ttt_data_tokenizer(data)), "train",
                           describe_split(s, data, TTT_SPLIT_TRAIN), "held_out",
                           describe_split(s, data, TTT_SPLIT_VALID), "documents", documents);
    json_decref(documents);
    ttt_data_close(data);
    if (!object) study_fail(&s->error, "out of memory");
    return object;
}

/* Made anew, or what is there; compared with what was said of it before. */
static json_t *open_prepared(const preparing *p)
{
    study *s = p->s;
    json_t *before = study_load(s, STUDY_RESULTS, p->id), *now = NULL;
    if (!*s->error.text) now = prepare(p);
    if (now && before && !json_equal(now, before))
        study_fail(&s->error,
                   "the texts are not those that %s/results was made with (%s.json says which): restore them, or give "
                   "another folder with -d",
                   s->work, p->id);
    if (now && !before && !*s->error.text) study_save(s, STUDY_RESULTS, p->id, json_incref(now));
    json_decref(before);
    if (!*s->error.text) return now;
    json_decref(now);
    return NULL;
}

json_t *study_data_open(study *s, int locks, bool prepared, ttt_status (*progress)(void *, double, const char *),
                        void *context)
{
    preparing p = {.s = s, .progress = progress, .context = context};
    bool taken;
    if (!identify(s, p.id)) return NULL;
    p.folder = study_data_folder(s);
    p.documents = folder_of(s, "documents");
    if (!prepared) {
        json_t *said = study_load(s, STUDY_RESULTS, p.id);
        if (!said)
            study_fail(&s->error, "%s/results has nothing of this study yet: ttt study run %s", s->work, s->file);
        return said;
    }
    if (*s->error.text || !study_lock(s, locks, p.id, true, &taken)) return NULL;
    json_t *object = open_prepared(&p);
    study_unlock(locks, p.id);
    return object;
}

bool study_data_read(study *s, const json_t *data, const char *set, size_t index, int64_t most, int32_t **ids,
                     int64_t *count)
{
    const json_t *about = json_array_get(json_object_get(json_object_get(data, "documents"), set), index);
    const int64_t all = json_integer_value(json_object_get(about, "tokens"));
    const int64_t vocabulary = json_integer_value(json_object_get(data, "vocabulary"));
    const char *folder = folder_of(s, "documents");
    const char *path = folder ? study_print(s, "%s/%s-%zu.ids", folder, set, index) : NULL;
    *count = most && most < all ? most : all;
    *ids = malloc(((size_t)*count + 1) * sizeof **ids);
    FILE *file = path && *ids ? fopen(path, "rb") : NULL;
    bool ok = file && fread(*ids, sizeof **ids, (size_t)*count, file) == (size_t)*count;
    for (int64_t i = 0; i < *count && ok; i++) ok = (*ids)[i] >= 0 && (*ids)[i] < vocabulary;
    if (file) fclose(file);
    if (ok) return true;
    free(*ids);
    *ids = NULL;
    return study_fail(&s->error, "cannot read the document %s: remove the folder, and it is made again",
                      path ? path : "of the study");
}
