/* SPDX-License-Identifier: MIT
 *
 * A comm and its thread. The thread opens the transport, since MPI wants to be called by the one that began; then it
 * does jobs as they are posted, and between them sees to it that the ranks know of each other's life.
 */
#include "dist/comm.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ttt/version.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/float_env.h"
#include "base/processors.h"
#include "base/system.h"
#include "dist/comm_own.h"
#include "dist/launch.h"

enum { LOOK = 50 * 1000 * 1000 }; /* nanoseconds between looks where there is nothing to do */
static const double silence_allowed = 10;

int ttt_comm_rank(const ttt_comm *comm) { return comm ? comm->rank : 0; }
int ttt_comm_size(const ttt_comm *comm) { return comm ? comm->size : 1; }
const char *ttt_comm_host(const ttt_comm *comm, int rank) { return comm ? comm->ranks[rank].host : "this one"; }
const char *ttt_comm_processors(const ttt_comm *comm, int rank) { return comm ? comm->ranks[rank].processors : ""; }
bool ttt_comm_agreed(const ttt_comm *comm) { return comm && comm->agreed; }

void ttt_comm_place(int *rank, int *size)
{
    const ttt_launch launch = ttt_launch_find();
    *rank = launch.rank;
    *size = launch.size > 1 ? launch.size : 1;
}

/* ---- failure ---- */

bool ttt_comm_break(ttt_comm *comm, const char *format, ...)
{
    va_list arguments;
    pthread_mutex_lock(&comm->mutex);
    const bool first = !comm->broken;
    if (first) {
        va_start(arguments, format);
        vsnprintf(comm->sentence, sizeof comm->sentence, format, arguments);
        va_end(arguments);
        comm->broken = true;
    }
    pthread_mutex_unlock(&comm->mutex);
    if (!first || !comm->opened || !comm->on_lost || !comm->on_lost(comm->context, comm->sentence)) return false;
    comm->transport->close(comm->transport, false);
    comm->transport = NULL;
    return false;
}

bool ttt_comm_broken(ttt_comm *comm)
{
    pthread_mutex_lock(&comm->mutex);
    const bool broken = comm->broken;
    pthread_mutex_unlock(&comm->mutex);
    return broken;
}

ttt_status ttt_comm_agreed_failure(ttt_comm *comm, ttt_status status)
{
    if (comm) comm->agreed = true;
    return status;
}

typedef struct verdict {
    int32_t status;
    char sentence[TTT_COMM_SENTENCE];
} verdict;

ttt_status ttt_comm_agree(ttt_comm *comm, ttt_status status)
{
    if (!comm) return status;
    verdict own = {.status = (int32_t)status}, *all = ttt_alloc((size_t)comm->size, sizeof *all);
    if (!all) return TTT_ERR_MEMORY;
    if (status != TTT_OK) snprintf(own.sentence, sizeof own.sentence, "%s", ttt_error_detail());
    ttt_status result = ttt_comm_gather(comm, &own, sizeof own, all);
    comm->agreed = result == TTT_OK;
    for (int rank = 0; rank < comm->size && result == TTT_OK; rank++) {
        const int failure = all[rank].status;
        if (failure == TTT_OK) continue;
        all[rank].sentence[TTT_COMM_SENTENCE - 1] = '\0';
        result = failure > 0 && failure <= TTT_ERR_INTERRUPTED ? (ttt_status)failure : TTT_ERR_IO;
        (void)ttt_fail(result, "%s", all[rank].sentence);
        if (rank > 0) (void)ttt_fail_prefix(result, "rank %d on host %s", rank, comm->ranks[rank].host);
    }
    ttt_free(all);
    return result;
}

/* ---- jobs ---- */

void ttt_comm_post(ttt_comm *comm, ttt_comm_job *job, bool (*work)(ttt_comm *comm, ttt_comm_job *job))
{
    job->work = work;
    job->next = NULL;
    job->done = false;
    pthread_mutex_lock(&comm->mutex);
    if (comm->jobs)
        comm->last->next = job;
    else
        comm->jobs = job;
    comm->last = job;
    pthread_cond_signal(&comm->posted);
    pthread_mutex_unlock(&comm->mutex);
}

ttt_status ttt_comm_wait(ttt_comm *comm, ttt_comm_job *job)
{
    const double start = ttt_clock();
    pthread_mutex_lock(&comm->mutex);
    while (!job->done) pthread_cond_wait(&comm->done, &comm->mutex);
    const bool broken = comm->broken;
    comm->use.waited += ttt_clock() - start;
    pthread_mutex_unlock(&comm->mutex);
    return broken ? ttt_fail(TTT_ERR_IO, "%s", comm->sentence) : TTT_OK;
}

ttt_comm_use ttt_comm_used(const ttt_comm *comm) { return comm ? comm->use : (ttt_comm_use){0}; }

/* The next job, which stays the first until it is done; NULL where there is none for a moment. */
static ttt_comm_job *next_job(ttt_comm *comm, bool *closing)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&comm->mutex);
    if (!comm->jobs && !comm->closing) pthread_cond_timedwait(&comm->posted, &comm->mutex, &until);
    ttt_comm_job *job = comm->jobs;
    *closing = comm->closing && !job;
    pthread_mutex_unlock(&comm->mutex);
    return job;
}

static void finish_job(ttt_comm *comm, ttt_comm_job *job, double seconds)
{
    pthread_mutex_lock(&comm->mutex);
    comm->use.seconds += seconds;
    comm->jobs = job->next;
    job->done = true;
    pthread_cond_broadcast(&comm->done);
    pthread_mutex_unlock(&comm->mutex);
}

/* Once broken, jobs are no more than ended. */
static void do_jobs(ttt_comm *comm)
{
    bool closing = false, whole = true;
    while (!closing) {
        ttt_comm_job *job = next_job(comm, &closing);
        whole = whole && ttt_life_look(comm);
        if (!job) continue;
        const double start = ttt_clock();
        whole = whole && job->work(comm, job);
        finish_job(comm, job, ttt_clock() - start);
    }
    if (whole && !ttt_comm_broken(comm)) (void)ttt_life_leave(comm);
}

/* ---- the thread ---- */

static void describe_self(ttt_rank *self)
{
    char line[256];
    snprintf(self->version, sizeof self->version, "%s", TTT_VERSION);
    if (gethostname(self->host, sizeof self->host - 1) != 0) snprintf(self->host, sizeof self->host, "unknown");
    self->processor_count = ttt_processor_count();
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Cpus_allowed_list: %63s", self->processors) == 1) break;
    if (file) fclose(file);
}

static bool introduce(ttt_comm *comm)
{
    ttt_rank self = {0};
    comm->ranks = ttt_alloc((size_t)comm->size, sizeof *comm->ranks);
    if (!comm->ranks) return ttt_comm_break(comm, "out of memory: cannot join %d ranks", comm->size);
    describe_self(&self);
    comm->ranks[comm->rank] = self;
    return true;
}

static bool open_transport(ttt_comm *comm)
{
    char fault[TTT_COMM_SENTENCE / 2] = "";
    comm->transport = comm->opener(comm->opener_context, fault, sizeof fault);
    if (!comm->transport) return ttt_comm_break(comm, "the ranks cannot be joined: %s", fault);
    comm->rank = comm->transport->rank;
    comm->size = comm->transport->size;
    return comm->size < 2 || introduce(comm);
}

static void *run(void *argument)
{
    ttt_comm *comm = argument;
    (void)ttt_float_begin();
    const bool joined = open_transport(comm);
    const bool alive = joined && comm->size > 1 && ttt_life_begin(comm, comm->life.silence);
    pthread_mutex_lock(&comm->mutex);
    comm->opened = true;
    pthread_cond_broadcast(&comm->done);
    pthread_mutex_unlock(&comm->mutex);
    if (alive) do_jobs(comm);
    if (comm->transport) comm->transport->close(comm->transport, !ttt_comm_broken(comm));
    return NULL;
}

static ttt_status start_thread(ttt_comm *comm)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    const bool started = !ttt_call_fails(TTT_CALL_THREAD) && pthread_create(&comm->thread, NULL, run, comm) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!started) return ttt_fail(TTT_ERR_MEMORY, "cannot start the thread that joins the ranks");
    pthread_mutex_lock(&comm->mutex);
    while (!comm->opened) pthread_cond_wait(&comm->done, &comm->mutex);
    pthread_mutex_unlock(&comm->mutex);
    return TTT_OK;
}

static ttt_comm *new_comm(void)
{
    ttt_comm *comm = ttt_alloc(1, sizeof *comm);
    if (!comm) return NULL;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&comm->mutex, NULL);
    pthread_cond_init(&comm->posted, &monotonic);
    pthread_cond_init(&comm->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    for (int i = 0; i < 2; i++) comm->staging[i] = ttt_alloc(TTT_COMM_CHUNK, 1);
    return comm;
}

static void free_comm(ttt_comm *comm)
{
    pthread_cond_destroy(&comm->done);
    pthread_cond_destroy(&comm->posted);
    pthread_mutex_destroy(&comm->mutex);
    for (int i = 0; i < 2; i++) ttt_free(comm->staging[i]);
    ttt_free(comm->ranks);
    ttt_free(comm);
}

/* Who is who. */
static ttt_status meet(ttt_comm *comm)
{
    if (comm->size < 2) return TTT_OK;
    const ttt_rank self = comm->ranks[comm->rank];
    TTT_TRY(ttt_comm_gather(comm, &self, sizeof self, comm->ranks));
    for (int rank = 0; rank < comm->size; rank++) {
        ttt_rank *other = &comm->ranks[rank];
        other->version[sizeof other->version - 1] = other->host[TTT_COMM_NAME - 1] = '\0';
        other->processors[TTT_COMM_NAME - 1] = '\0';
        if (strcmp(other->version, comm->ranks[0].version) != 0)
            return ttt_comm_agreed_failure(
                comm,
                ttt_fail(TTT_ERR_UNSUPPORTED, "rank %d on host %s is ttt %s, rank 0 is ttt %s: install one version",
                         rank, other->host, other->version, comm->ranks[0].version));
    }
    return TTT_OK;
}

ttt_status ttt_comm_open_by(ttt_comm **out, ttt_transport_opener opener, void *opener_context, double silence,
                            ttt_comm_lost lost, void *context)
{
    *out = NULL;
    ttt_comm *comm = new_comm();
    if (!comm) return TTT_ERR_MEMORY;
    comm->opener = opener;
    comm->opener_context = opener_context;
    comm->life.silence = silence;
    comm->on_lost = lost;
    comm->context = context;
    ttt_status status = comm->staging[0] && comm->staging[1] ? start_thread(comm) : TTT_ERR_MEMORY;
    if (status != TTT_OK) {
        free_comm(comm);
        return status;
    }
    status = ttt_comm_broken(comm) ? ttt_fail(TTT_ERR_IO, "%s", comm->sentence) : meet(comm);
    if (status == TTT_OK && comm->size > 1)
        *out = comm;
    else
        ttt_comm_close(comm);
    return status;
}

static void end_thread(ttt_comm *comm)
{
    pthread_mutex_lock(&comm->mutex);
    comm->closing = true;
    pthread_cond_signal(&comm->posted);
    pthread_mutex_unlock(&comm->mutex);
    pthread_join(comm->thread, NULL);
}

void ttt_comm_close(ttt_comm *comm)
{
    if (!comm) return;
    end_thread(comm);
    free_comm(comm);
}

void ttt_comm_abort(ttt_comm *comm)
{
    if (!comm) return;
    pthread_mutex_lock(&comm->mutex);
    comm->broken = true;
    pthread_mutex_unlock(&comm->mutex);
    ttt_comm_close(comm);
}

/* ---- by a launcher ---- */

ttt_status ttt_comm_open(ttt_comm **comm, ttt_comm_lost lost, void *context)
{
    const ttt_launch launch = ttt_launch_find();
    const ttt_transport_plugin *plugin;
    char library[128];
    *comm = NULL;
    if (launch.size == 1) return TTT_OK;
    if (!launch.mpi)
        return ttt_fail(
            TTT_ERR_UNSUPPORTED,
            "srun started %d tasks without a way for MPI to join them: give srun --mpi=pmix or another that "
            "srun --mpi=list names, or start one task",
            launch.size);
    TTT_TRY(ttt_launch_plugin(&launch, &plugin));
    TTT_TRY(ttt_comm_open_by(comm, plugin->open, NULL, silence_allowed, lost, context));
    if (launch.size == ttt_comm_size(*comm) || (launch.size == 0 && *comm)) return TTT_OK;
    plugin->describe(library, sizeof library);
    const int size = ttt_comm_size(*comm);
    ttt_comm_abort(*comm);
    *comm = NULL;
    if (launch.size == 0) return TTT_OK;
    return ttt_fail(TTT_ERR_UNSUPPORTED,
                    "%s started %d ranks, but MPI sees %d: it is not the launcher of the MPI that ttt was built with, "
                    "which is %s",
                    launch.launcher, launch.size, size, library);
}

int ttt_comm_threads(const ttt_comm *comm)
{
    if (!comm) return 0;
    const ttt_rank *self = &comm->ranks[comm->rank];
    int sharing = 0;
    for (int rank = 0; rank < comm->size; rank++) {
        const ttt_rank *other = &comm->ranks[rank];
        if (strcmp(other->host, self->host) == 0 && strcmp(other->processors, self->processors) == 0) sharing++;
    }
    return self->processor_count > sharing ? self->processor_count / sharing : 1;
}
