/* SPDX-License-Identifier: MIT
 *
 * Trainers that ranks share, with threads for ranks: the parameters and moments are those of one process, bit by bit,
 * for every number of ranks, after a checkpoint that another number of ranks goes on from, for learners and layers, and
 * in both precisions.
 */
#include <unistd.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "small_config.h"
#include "threads.h"
#include "train/trainer.h"

enum { T = 16, BATCH = 8, V = 256, STEPS = 3, LEAVES = 8 };

static int32_t tokens[STEPS * BATCH * (T + 1)];

typedef struct job {
    ttt_config config;
    ttt_train_options options;
    const char *load, *save; /* NULL: begin; do not save */
    int from, to;            /* updates */
    double losses[STEPS], norms[STEPS];
    char *values; /* rank 0's in the end */
    int64_t size;
} job;

static const char first_half[] = TTT_BINARY_DIR "/test_shares.safetensors";
static const char whole[] = TTT_BINARY_DIR "/test_shares_end.safetensors";

static void train(ttt_comm *comm, int rank, void *context)
{
    job *j = context;
    ttt_train_options options = j->options;
    ttt_trainer *trainer;
    options.comm = comm;
    if (j->load)
        CHECK_OK(ttt_trainer_load(&trainer, j->load, &options, NULL));
    else
        CHECK_OK(ttt_trainer_new(&trainer, &j->config, &options));
    const int64_t of_rank = BATCH / ttt_comm_size(comm);
    for (int i = j->from; i < j->to; i++) {
        ttt_train_result result;
        CHECK_OK(ttt_trainer_step(trainer, tokens + (i * BATCH + rank * of_rank) * (T + 1), &result));
        if (rank > 0) continue;
        j->losses[i] = result.loss;
        j->norms[i] = result.grad_norm;
    }
    if (j->save) CHECK_OK(ttt_trainer_save(trainer, j->save, "a note"));
    if (rank == 0) {
        const int64_t size = trainer->lm.stack.params.size;
        j->size = size * (int64_t)trainer->backend->real;
        j->values = ttt_alloc((size_t)j->size, 1);
        memcpy(j->values, trainer->optimizer.values, (size_t)j->size);
        if (ttt_comm_size(comm) > 1 && trainer->backend->dtype == TTT_F32) CHECK(trainer->shares.count > 1);
    }
    ttt_trainer_free(trainer);
}

static void run(job *j, int ranks)
{
    if (ranks == 1)
        train(NULL, 0, j);
    else
        ranks_run(&(world){0}, ranks, train, j);
}

static bool same_file(const char *a, const char *b)
{
    char command[8192];
    snprintf(command, sizeof command, "cmp '%s' '%s'", a, b);
    return system(command) == 0;
}

static void check_same(const job *a, const job *b, const char *what, int ranks)
{
    const bool same = a->size == b->size && memcmp(a->values, b->values, (size_t)a->size) == 0 &&
                      memcmp(a->losses, b->losses, sizeof a->losses) == 0 &&
                      memcmp(a->norms, b->norms, sizeof a->norms) == 0;
    if (!same) fprintf(stderr, "%s: other bits with %d ranks\n", what, ranks);
    CHECK(same);
}

/* One process; then 2, 4 and 8 ranks; then a change of their number in the middle. */
static void check(const char *what, const ttt_config *config, const ttt_train_options *options)
{
    job one = {.config = *config, .options = *options, .to = STEPS, .save = whole};
    run(&one, 1);
    const int most = test_small() ? 2 : LEAVES;
    for (int ranks = 2; ranks <= most; ranks *= 2) {
        char path[4096];
        snprintf(path, sizeof path, "%s.%d", whole, ranks);
        job many = {.config = *config, .options = *options, .to = STEPS, .save = path};
        many.options.threads = ranks == 2 ? 2 : 1;
        run(&many, ranks);
        check_same(&one, &many, what, ranks);
        CHECK(same_file(whole, path));
        unlink(path);
        ttt_free(many.values);
    }
    job begun = {.config = *config, .options = *options, .to = 1, .save = first_half};
    run(&begun, 4);
    job ended = begun;
    ended.load = first_half;
    ended.save = NULL;
    ended.from = 1;
    ended.to = STEPS;
    run(&ended, 2);
    check_same(&one, &ended, what, 42);
    ttt_free(begun.values);
    ttt_free(ended.values);
    ttt_free(one.values);
    unlink(first_half);
    unlink(whole);
}

static ttt_config config_of(const char *layers)
{
    ttt_config config = small_config(V, 64, 4, 2);
    config.mini_batch_size = 4;
    config.use_gate = config.share_qk = true;
    CHECK_OK(ttt_config_set(&config, "layers", layers));
    return config;
}

static ttt_train_options small_options(void)
{
    ttt_train_options options;
    ttt_train_options_init(&options);
    options.backend = "cpu";
    options.threads = 1;
    options.context = T;
    options.batch = BATCH;
    options.leaves = LEAVES;
    options.steps = STEPS;
    options.warmup = 0;
    options.clip = 0.5;
    return options;
}

static void refuse(ttt_comm *comm, int rank, void *context)
{
    const ttt_config config = config_of("2*ttt_linear");
    ttt_train_options options = small_options();
    ttt_trainer *trainer;
    (void)rank, (void)context;
    options.comm = comm;
    CHECK_FAILS(ttt_trainer_new(&trainer, &config, &options), TTT_ERR_ARGUMENT, "it takes 1, 2, 4 or 8 ranks");
    options.leaves = 1;
    CHECK_FAILS(ttt_trainer_new(&trainer, &config, &options), TTT_ERR_ARGUMENT, "it takes 1 rank;");
    size_t bytes;
    CHECK_FAILS(ttt_trainer_memory(&config, &options, &bytes), TTT_ERR_ARGUMENT,
                "3 ranks cannot share the leaves of an update, which are 1");
}

int main(void)
{
    const ttt_rng rng = {.seed = 8, .stream = TTT_RNG_TEST};
    for (int i = 0; i < STEPS * BATCH * (T + 1); i++) tokens[i] = (int32_t)(ttt_rng_u64(rng, (uint64_t)i) % V);
    static const char *const models[] = {"2*ttt_linear", "2*ttt_mlp", "ttt_linear,attention", "mamba,gated_deltanet"};
    const int count = test_small() ? 1 : 4;
    for (int i = 0; i < count; i++) {
        const ttt_config config = config_of(models[i]);
        ttt_train_options options = small_options();
        check(models[i], &config, &options);
        options.precision = "bf16";
        if (i < 2) check(models[i], &config, &options);
    }
    ranks_run(&(world){0}, 3, refuse, NULL);
    if (test_small()) return test_end();

    const ttt_config config = config_of("2*ttt_linear");
    ttt_train_options options = small_options();
    options.segment = 8;
    options.recompute = true;
    check("segments and recompute", &config, &options);
    options = small_options();
    options.backend = "ref";
    options.leaves = 8;
    check("ref", &config, &options);
    return test_end();
}
