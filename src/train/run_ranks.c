/* SPDX-License-Identifier: MIT */
#include "train/run_ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "data/hash.h"
#include "train/run_data.h"
#include "train/run_folder.h"
#include "train/run_note.h"
#include "train/trainer.h"

/* ---- are they alike? ---- */

enum { FIELD = 64, FIELDS = 5 };
static const char *const field_names[FIELDS] = {"options", "keys of the model", "data", "backends", "instructions"};

typedef struct member {
    char fields[FIELDS][FIELD]; /* what must be the same on all ranks */
    int32_t threads;
} member;

static void add_text(ttt_hasher *hasher, const char *text)
{
    if (text) ttt_hasher_add(hasher, text, strlen(text));
    ttt_hasher_add(hasher, text ? "+" : "-", 2);
}

/* Of the options that change what a run computes, as they were given. */
static ttt_status hash_options(const ttt_train_run_options *o, char text[FIELD])
{
    const char *const texts[] = {o->config,    o->layer, o->layers,    o->backbone, o->init_from,
                                 o->tokenizer, o->valid, o->precision, o->schedule, o->match_flops};
    const double numbers[] = {(double)o->context,
                              (double)o->batch,
                              (double)o->accumulate,
                              (double)o->leaves,
                              (double)o->segment,
                              (double)o->steps,
                              o->epochs,
                              o->minutes,
                              o->rate,
                              (double)o->seed,
                              (double)o->save_every,
                              (double)o->eval_every,
                              o->parse_special,
                              (double)o->text_count,
                              o->force};
    ttt_hasher hasher = {0};
    TTT_TRY(ttt_hasher_init(&hasher, TTT_HASH_XXH3));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) add_text(&hasher, texts[i]);
    for (size_t i = 0; i < o->setting_count; i++) add_text(&hasher, o->settings[i]);
    ttt_hasher_add(&hasher, numbers, sizeof numbers);
    ttt_hash_print(text, ttt_hasher_value(&hasher));
    ttt_hasher_deinit(&hasher);
    return TTT_OK;
}

static ttt_status describe_self(const ttt_train_run *run, const char *options, member *self)
{
    const ttt_trainer *t = run->trainer;
    char *header, model[TTT_HASH_TEXT], data[TTT_HASH_TEXT];
    TTT_TRY(ttt_trainer_header(t, &header));
    ttt_hash_print(model, ttt_hash(TTT_HASH_XXH3, header, strlen(header)));
    ttt_hash_print(data, ttt_data_fingerprint(run->data));
    free(header);
    const char *const values[FIELDS] = {options, model, data, ttt_trainer_backend(t),
                                        ttt_bits_of(ttt_trainer_isa(t), ttt_trainer_options(t)->precision)};
    for (int i = 0; i < FIELDS; i++) snprintf(self->fields[i], FIELD, "%s", values[i]);
    self->threads = t->backend->threads;
    return TTT_OK;
}

static ttt_status compare(ttt_comm *comm, const member *members)
{
    for (int rank = 1; rank < ttt_comm_size(comm); rank++)
        for (int i = 0; i < FIELDS; i++)
            if (strncmp(members[rank].fields[i], members[0].fields[i], FIELD) != 0)
                return ttt_comm_agreed_failure(
                    comm, ttt_fail(TTT_ERR_ARGUMENT,
                                   "rank %d on host %s has other %s than rank 0 on host %s, %.63s and not %.63s: what "
                                   "computes one run must be alike",
                                   rank, ttt_comm_host(comm, rank), field_names[i], ttt_comm_host(comm, 0),
                                   members[rank].fields[i], members[0].fields[i]));
    return TTT_OK;
}

/* ---- the line that says who they are ---- */

static bool same_place(const ttt_comm *comm, const member *members, int a, int b)
{
    return strcmp(ttt_comm_host(comm, a), ttt_comm_host(comm, b)) == 0 && members[a].threads == members[b].threads &&
           strcmp(ttt_comm_processors(comm, a), ttt_comm_processors(comm, b)) == 0;
}

static int count_hosts(const ttt_comm *comm)
{
    int count = 0;
    for (int rank = 0; rank < ttt_comm_size(comm); rank++) {
        bool known = false;
        for (int other = 0; other < rank && !known; other++)
            known = strcmp(ttt_comm_host(comm, rank), ttt_comm_host(comm, other)) == 0;
        count += !known;
    }
    return count;
}

static ttt_status list_members(const ttt_comm *comm, const member *members, ttt_buffer *line)
{
    enum { MOST = 16 }; /* of places that are told one by one */
    const int size = ttt_comm_size(comm), hosts = count_hosts(comm);
    int told = 0;
    TTT_TRY(ttt_buffer_print(line, "%d ranks on %d host%s", size, hosts, hosts == 1 ? "" : "s"));
    for (int first = 0, end; first < size && told < MOST; first = end, told++) {
        for (end = first + 1; end < size && same_place(comm, members, first, end);) end++;
        const int threads = members[first].threads;
        TTT_TRY(ttt_buffer_print(line, told ? "; %d" : ": %d", first));
        if (end > first + 1) TTT_TRY(ttt_buffer_print(line, "-%d", end - 1));
        TTT_TRY(ttt_buffer_print(line, " on %s, %d thread%s%s, processors %s", ttt_comm_host(comm, first), threads,
                                 threads == 1 ? "" : "s", end > first + 1 ? " each" : "",
                                 ttt_comm_processors(comm, first)));
    }
    return told < MOST ? TTT_OK : ttt_buffer_print(line, "; and so on");
}

static ttt_status meet(ttt_train_run *run, ttt_comm *comm, const char *options, ttt_status status)
{
    member self = {0}, *members = ttt_alloc((size_t)ttt_comm_size(comm), sizeof *members);
    if (!members) status = TTT_ERR_MEMORY;
    if (status == TTT_OK) status = describe_self(run, options, &self);
    status = ttt_comm_agree(comm, status);
    if (status == TTT_OK) status = ttt_comm_gather(comm, &self, sizeof self, members);
    if (status == TTT_OK) status = compare(comm, members);
    ttt_buffer line = {0};
    if (status == TTT_OK) status = list_members(comm, members, &line);
    run->ranks = line.data;
    ttt_free(members);
    return status;
}

/* ---- from rank 0 to the others ---- */

typedef struct announcement {
    int64_t header, note; /* bytes of the texts that follow, with their ends */
    int64_t saved, measuring;
} announcement;

/* What the others need to know, as text one behind the other; made by rank 0. */
static ttt_status announce(const ttt_train_run *run, announcement *head, ttt_buffer *texts)
{
    char *header, *note = json_dumps(run->note, JSON_COMPACT | JSON_REAL_PRECISION(17));
    if (!note) return ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot tell the ranks of the run");
    ttt_status status = ttt_trainer_header(run->trainer, &header);
    if (status == TTT_OK) {
        *head = (announcement){(int64_t)strlen(header) + 1, (int64_t)strlen(note) + 1, run->saved, run->measuring};
        status = ttt_buffer_print(texts, "%s%c%s%c", header, '\0', note, '\0');
        free(header);
    }
    free(note);
    return status;
}

static ttt_status open_data(ttt_train_run *run)
{
    char *path = ttt_run_data_path(run->folder, false);
    const ttt_data_options given = {.texts = run->options.texts, .text_count = run->options.text_count};
    if (!path) return TTT_ERR_MEMORY;
    ttt_status status = ttt_data_open(&run->data, path);
    if (status != TTT_OK && ttt_run_data_is_given(&given)) status = ttt_data_open(&run->data, given.texts[0]);
    ttt_free(path);
    if (status == TTT_OK) return TTT_OK;
    return ttt_fail_prefix(status,
                           "the data must be seen by every host, in the run's folder or as data of ttt prepare");
}

/* The same trainer, note and data as rank 0's, without touching its folder. */
static ttt_status follow(ttt_train_run *run, const announcement *head, const char *texts)
{
    ttt_config config;
    ttt_train_options train;
    int64_t step;
    const ttt_train_options how = {.backend = run->options.backend,
                                   .threads = run->options.threads,
                                   .recompute = run->options.recompute,
                                   .profile = run->options.profile,
                                   .comm = run->options.comm};
    TTT_TRY(ttt_trainer_parse_header(texts, "what rank 0 says", &config, &train, &step));
    ttt_trainer_take_how(&train, &how);
    TTT_TRY(ttt_trainer_new_empty(&run->trainer, &config, &train));
    run->trainer->step = step;
    run->saved = head->saved;
    run->measuring = head->measuring;
    TTT_TRY(ttt_run_note_parse(&run->note, texts + head->header, "what rank 0 says"));
    return open_data(run);
}

static ttt_status tell(ttt_train_run *run, ttt_comm *comm, announcement *head, ttt_buffer *texts)
{
    ttt_status status = ttt_run_leads(run) ? announce(run, head, texts) : TTT_OK;
    TTT_TRY(ttt_comm_agree(comm, status));
    TTT_TRY(ttt_comm_broadcast(comm, head, sizeof *head));
    const size_t size = (size_t)(head->header + head->note);
    if (!ttt_run_leads(run)) status = ttt_buffer_reserve(texts, size);
    TTT_TRY(ttt_comm_agree(comm, status));
    return ttt_comm_broadcast(comm, texts->data, size);
}

ttt_status ttt_run_join(ttt_train_run *run, ttt_status status)
{
    ttt_comm *comm = run->options.comm;
    announcement head = {0};
    ttt_buffer texts = {0};
    char options[FIELD];
    if (!comm) return status;
    TTT_TRY(ttt_comm_agree(comm, status));
    status = tell(run, comm, &head, &texts);
    if (status == TTT_OK) {
        ttt_status own = hash_options(&run->options, options);
        if (own == TTT_OK && !ttt_run_leads(run)) own = follow(run, &head, texts.data);
        status = meet(run, comm, options, own);
    }
    ttt_buffer_deinit(&texts);
    return status == TTT_OK ? ttt_shares_deal(&run->trainer->shares) : status;
}

/* ---- between updates ---- */

ttt_status ttt_run_decide(ttt_train_run *run, ttt_status status, ttt_run_vote *vote)
{
    ttt_comm *comm = run->options.comm;
    enum { STOP, DUE, STEPS, MEASURING, FAILED, COUNT };
    const bool leads = ttt_run_leads(run);
    double x[COUNT] = {[STOP] = vote->stop, [FAILED] = status != TTT_OK};
    if (!comm) return status;
    if (leads) {
        x[DUE] = vote->due;
        x[STEPS] = (double)ttt_trainer_options(run->trainer)->steps;
        x[MEASURING] = run->measuring;
    }
    TTT_TRY(ttt_comm_sum(comm, x, COUNT));
    vote->stop = x[STOP] > 0;
    vote->due = x[DUE] > 0;
    run->measuring = x[MEASURING] > 0;
    ttt_trainer_set_steps(run->trainer, (int64_t)x[STEPS]);
    return x[FAILED] > 0 ? ttt_comm_agree(comm, status) : TTT_OK;
}
