/* SPDX-License-Identifier: MIT
 *
 * What ranks do together, with threads for ranks: that shares are everything once, that sums are those of the tree by
 * rank, bit by bit, that what is told arrives, and that a silent rank is named. And launchers by their variables.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/rng.h"
#include "dist/launch.h"
#include "threads.h"

/* ---- shares ---- */

static void test_shares(void)
{
    for (int size = 1; size <= RANKS_MOST; size *= 2)
        for (int64_t parts = 0; parts < 20; parts++) {
            int times[20] = {0};
            for (int rank = 0; rank < size; rank++) {
                int64_t first = 0, end = parts;
                ttt_comm_share(rank, size, &first, &end);
                for (int64_t i = first; i < end; i++) times[i]++;
                CHECK(end - first <= (parts + size - 1) / size);
            }
            for (int64_t i = 0; i < parts; i++) CHECK_EQ(times[i], 1);
        }
}

/* ---- sums ---- */

enum { PARTS = 701, FEW = 500, MANY = 8000 };

typedef struct summing {
    int64_t part, count; /* of a part, and of all */
    bool single;
} summing;

static summing summing_of(int ranks, bool single)
{
    const int64_t part = ranks == 2 && single ? MANY : FEW; /* many: more than one piece of an exchange */
    return (summing){.part = part, .count = (PARTS - 1) * part + 17, .single = single};
}

static double value(int rank, int64_t i)
{
    const ttt_rng rng = {.seed = (uint64_t)rank, .stream = TTT_RNG_TEST};
    const uint64_t bits = ttt_rng_u64(rng, (uint64_t)i);
    return ((double)(bits >> 40) - 8e6) * ((bits & 7) == 0 ? 1e6 : 1e-3);
}

/* The definition: neighbours first. */
static double tree(int first, int count, int64_t i, bool single)
{
    if (count == 1) return single ? (double)(float)value(first, i) : value(first, i);
    const double left = tree(first, count / 2, i, single), right = tree(first + count / 2, count / 2, i, single);
    return single ? (double)((float)left + (float)right) : left + right;
}

static double at(const void *block, int64_t i, bool single)
{
    return single ? (double)((const float *)block)[i] : ((const double *)block)[i];
}

static void check_sums(ttt_comm *comm, const char *block, int64_t first, int64_t end, const summing *s)
{
    int64_t wrong = 0;
    for (int64_t i = first * s->part; i < end * s->part && i < s->count; i += 37)
        wrong += at(block, i, s->single) != tree(0, ttt_comm_size(comm), i, s->single);
    CHECK_EQ(wrong, 0);
}

static void sums(ttt_comm *comm, int rank, void *context)
{
    const summing *s = context;
    const size_t real = s->single ? sizeof(float) : sizeof(double), bytes = (size_t)s->count * real;
    char *block = ttt_alloc((size_t)s->count, real);
    for (int64_t i = 0; i < s->count; i++) {
        if (s->single)
            ((float *)(void *)block)[i] = (float)value(rank, i);
        else
            ((double *)(void *)block)[i] = value(rank, i);
    }
    const int64_t cut = 600;
    ttt_comm_job upper = {.block = block,
                          .bytes = bytes,
                          .part = (size_t)s->part * real,
                          .first = cut,
                          .end = PARTS,
                          .dtype = s->single ? TTT_F32 : TTT_F64},
                 lower = upper;
    lower.first = 0;
    lower.end = cut;
    ttt_comm_reduce(comm, &upper);
    ttt_comm_reduce(comm, &lower);
    CHECK_OK(ttt_comm_wait(comm, &upper));
    CHECK_OK(ttt_comm_wait(comm, &lower));
    int64_t first = 0, end = cut;
    ttt_comm_share(rank, ttt_comm_size(comm), &first, &end);
    check_sums(comm, block, first, end, s);
    ttt_comm_collect(comm, &lower);
    CHECK_OK(ttt_comm_wait(comm, &lower));
    if (rank == 0) check_sums(comm, block, 0, cut, s);
    ttt_comm_spread(comm, &lower);
    ttt_comm_spread(comm, &upper);
    CHECK_OK(ttt_comm_wait(comm, &lower));
    CHECK_OK(ttt_comm_wait(comm, &upper));
    check_sums(comm, block, 0, PARTS, s);
    if (rank > 0) memset(block, 0, bytes);
    ttt_comm_deal(comm, &lower);
    CHECK_OK(ttt_comm_wait(comm, &lower));
    check_sums(comm, block, first, end, s);
    CHECK(ttt_comm_used(comm).bytes > 0);
    ttt_free(block);
    double few[3] = {value(rank, 0), 1, rank};
    CHECK_OK(ttt_comm_sum(comm, few, 3));
    CHECK(few[0] == tree(0, ttt_comm_size(comm), 0, false));
    CHECK_EQ(few[1], ttt_comm_size(comm));
}

/* ---- small things, any number of ranks ---- */

static void talk(ttt_comm *comm, int rank, void *context)
{
    (void)context;
    const int size = ttt_comm_size(comm);
    char word[16] = "nothing";
    int all[RANKS_MOST] = {0};
    CHECK_EQ(ttt_comm_rank(comm), rank);
    CHECK(*ttt_comm_host(comm, size - 1) && *ttt_comm_processors(comm, size - 1) && ttt_comm_threads(comm) >= 1);
    if (rank == 0) snprintf(word, sizeof word, "hello");
    CHECK_OK(ttt_comm_broadcast(comm, word, sizeof word));
    CHECK_STR(word, "hello");
    const int own = rank + 100;
    CHECK_OK(ttt_comm_gather(comm, &own, sizeof own, all));
    for (int i = 0; i < size; i++) CHECK_EQ(all[i], 100 + i);
    CHECK_OK(ttt_comm_agree(comm, TTT_OK));
    const ttt_status fails = rank == size - 1 ? ttt_fail(TTT_ERR_FORMAT, "the dog ate it") : TTT_OK;
    char expected[128];
    snprintf(expected, sizeof expected, "rank %d on host %s: the dog ate it", size - 1, ttt_comm_host(comm, size - 1));
    CHECK_FAILS(ttt_comm_agree(comm, fails), TTT_ERR_FORMAT, expected);
    CHECK(ttt_comm_agreed(comm));
    CHECK_FAILS(ttt_comm_agree(comm, rank == 0 ? ttt_fail(TTT_ERR_IO, "first") : TTT_OK), TTT_ERR_IO, "first");
    CHECK(strncmp(ttt_error_detail(), "first", 5) == 0);
}

/* ---- a rank that falls silent, and one that ends ---- */

static atomic_int told;

/* The next one names it and ends all; what the others then meet is that end. */
static bool told_of_one(void *context, const char *sentence)
{
    const place *p = context;
    const bool silent = strstr(sentence, "not heard of");
    if (silent) CHECK(p->rank == 2 && strstr(sentence, "rank 1 on host "));
    if (silent) atomic_fetch_add(&told, 1);
    return true;
}

static void fall_silent(ttt_comm *comm, int rank, void *context)
{
    world *w = context;
    double x = 1;
    CHECK_OK(ttt_comm_sum(comm, &x, 1));
    if (rank == 1) atomic_store(&w->silent[1], true);
    const ttt_status status = ttt_comm_sum(comm, &x, 1);
    CHECK(rank == 1 || status == TTT_ERR_IO); /* what it waits for has come */
    CHECK(!ttt_comm_agreed(comm));
    CHECK_EQ(ttt_comm_sum(comm, &x, 1), TTT_ERR_IO); /* for good */
}

/* What ttt_comm_abort does is seen by the others as a failure. */
static void end_one(ttt_comm *comm, int rank, void *context)
{
    double x = 1;
    (void)context;
    CHECK_OK(ttt_comm_sum(comm, &x, 1));
    if (rank == 0) CHECK_EQ(ttt_comm_sum(comm, &x, 1), TTT_ERR_IO);
}

/* ---- alone ---- */

static void test_alone(void)
{
    double x = 3;
    int one = 7, all = 0, rank = 5, size = 5;
    CHECK_EQ(ttt_comm_rank(NULL), 0);
    CHECK_EQ(ttt_comm_size(NULL), 1);
    CHECK_EQ(ttt_comm_threads(NULL), 0);
    CHECK_OK(ttt_comm_sum(NULL, &x, 1));
    CHECK_OK(ttt_comm_broadcast(NULL, &x, sizeof x));
    CHECK_OK(ttt_comm_gather(NULL, &one, sizeof one, &all));
    CHECK_EQ(all, 7);
    CHECK_NEAR(x, 3, 0);
    CHECK_EQ(ttt_comm_agree(NULL, TTT_ERR_IO), TTT_ERR_IO);
    ttt_comm_place(&rank, &size);
    CHECK_EQ(rank, 0);
    CHECK_EQ(size, 1);
    ttt_comm_close(NULL);
    ttt_comm_abort(NULL);
}

/* ---- launchers ---- */

static const char *const variables[] = {
    "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_SIZE", "PMIX_RANK",
    "SLURM_PROCID",         "SLURM_STEP_NUM_TASKS"};

static void forget_launcher(void)
{
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) unsetenv(variables[i]);
}

static void test_launchers(void)
{
    static const struct {
        const char *set[4], *launcher;
        int rank, size;
        bool mpi;
    } cases[] = {
        {{"OMPI_COMM_WORLD_RANK", "2", "OMPI_COMM_WORLD_SIZE", "4"}, "mpirun", 2, 4, true},
        {{"OMPI_COMM_WORLD_RANK", "0", "OMPI_COMM_WORLD_SIZE", "1"}, "mpirun", 0, 1, true},
        {{"PMI_RANK", "1", "PMI_SIZE", "2"}, "mpiexec", 1, 2, true},
        {{"PMI_RANK", "1", "SLURM_STEP_NUM_TASKS", "8"}, "mpiexec", 1, 8, true},
        {{"PMIX_RANK", "3", NULL, NULL}, "the launcher", 3, 0, true},
        {{"PMIX_RANK", "3", "SLURM_STEP_NUM_TASKS", "4"}, "the launcher", 3, 4, true},
        {{"SLURM_PROCID", "1", "SLURM_STEP_NUM_TASKS", "2"}, "srun", 1, 2, false},
        {{"SLURM_PROCID", "0", NULL, NULL}, NULL, 0, 1, false},
        {{"OMPI_COMM_WORLD_RANK", "many", "OMPI_COMM_WORLD_SIZE", "4"}, NULL, 0, 1, false},
        {{"PMI_RANK", "-1", "PMI_SIZE", "2"}, NULL, 0, 1, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        forget_launcher();
        for (int n = 0; n < 4 && cases[i].set[n]; n += 2) setenv(cases[i].set[n], cases[i].set[n + 1], 1);
        const ttt_launch launch = ttt_launch_find();
        CHECK_EQ(launch.launcher == NULL, cases[i].launcher == NULL);
        if (launch.launcher && cases[i].launcher) CHECK_STR(launch.launcher, cases[i].launcher);
        CHECK_EQ(launch.rank, cases[i].rank);
        CHECK_EQ(launch.size, cases[i].size);
        CHECK_EQ(launch.mpi, cases[i].mpi);
    }
    ttt_comm *comm;
    forget_launcher();
    setenv("SLURM_PROCID", "1", 1);
    setenv("SLURM_STEP_NUM_TASKS", "2", 1);
    CHECK_FAILS(ttt_comm_open(&comm, NULL, NULL), TTT_ERR_UNSUPPORTED, "--mpi=pmix");
    int rank, size;
    ttt_comm_place(&rank, &size);
    CHECK_EQ(rank, 1);
    CHECK_EQ(size, 2);
    forget_launcher();
    CHECK_OK(ttt_comm_open(&comm, NULL, NULL));
    CHECK(comm == NULL);
}

int main(void)
{
    forget_launcher();
    test_shares();
    for (int single = 0; single < 2; single++) {
        for (int size = 2; size <= RANKS_MOST; size *= 2) {
            summing s = summing_of(size, single);
            ranks_run(&(world){0}, size, sums, &s);
        }
    }
    for (int size = 2; size <= RANKS_MOST; size++) ranks_run(&(world){0}, size, talk, NULL);
    world w = {.silence = 3, .lost = told_of_one};
    ranks_run(&w, 4, fall_silent, &w);
    CHECK_EQ(told, 1);
    world cut = {.aborts = 1};
    ranks_run(&cut, 2, end_one, NULL);
    test_alone();
    test_launchers();
    return test_end();
}
