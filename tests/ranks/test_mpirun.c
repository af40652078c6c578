/* SPDX-License-Identifier: MIT
 *
 * Training under mpirun: the files of one process with 2 and 4 ranks, a run that another number goes on with, and what
 * is refused, each by one sentence.
 */
#include "mpirun.h"

static void test_bits(void)
{
    CLI_OK("$TTT train %s -o one --steps 6 --save-every 2 --eval-every 2", train_options);
    CLI_SAYS(0, "2 ranks on 1 host: 0-1 on ",
             "mpirun -np 2 $TTT train %s -o two --steps 6 --save-every 2 --eval-every 2", train_options);
    CHECK(strstr(cli_output, ", 1 thread each, processors "));
    CLI_SAYS(0, "four is trained", "mpirun -np 4 $TTT train %s -o four --steps 6 --save-every 2 --eval-every 2",
             train_options);
    for (int i = 0; i < 2; i++) {
        const char *run = i ? "four" : "two";
        char path[64];
        snprintf(path, sizeof path, "%s/model.safetensors", run);
        CHECK(cli_same("one/model.safetensors", path));
        snprintf(path, sizeof path, "%s/checkpoint/step-000000006.safetensors", run);
        CHECK(cli_same("one/checkpoint/step-000000006.safetensors", path));
        CHECK(same_metrics("one", run));
        CLI_OK("test ! -e %s/checkpoint/lock", run);
    }
    CLI_SAYS(0, "this run is finished", "mpirun -np 2 $TTT train -o four");
}

/* A checkpoint on the way, as an interruption leaves it, gone on from by other numbers of ranks. */
static void test_going_on(void)
{
    CLI_OK("cp -r one half; rm half/checkpoint/step-000000006.safetensors; rm half/model.safetensors");
    CLI_SAYS(0, "goes on from step 4", "mpirun -np 4 $TTT train -o half");
    CHECK(cli_same("one/model.safetensors", "half/model.safetensors"));
    CHECK(same_metrics("one", "half"));
    CLI_OK("cp -r two less; rm less/checkpoint/step-000000006.safetensors; $TTT train -o less");
    CHECK(cli_same("one/model.safetensors", "less/model.safetensors"));
}

/* Hosts without a file system in common, each with a copy of the data at the same path; and one with another's. */
static void test_copied_data(void)
{
    static const char train[] = "train data --set hidden_size=64 --set num_hidden_layers=2 --set num_attention_heads=4 "
                                "--set intermediate_size=96 --context 16 --batch 128 --leaves 2 --threads 1 --steps 2";
    CLI_OK("$TTT prepare text -t byte -o data && mkdir -p far && cp -r data far/data && $TTT %s -o near", train);
    CLI_OK(UNLIKE("$TTT %s -o apart", "cd far && exec $TTT %s -o apart") " && test ! -e far/apart", train, train);
    CHECK(cli_same("near/model.safetensors", "apart/model.safetensors"));
    CLI_OK("rm -r far/data && head -c 15000 text >other && $TTT prepare other -t byte -o far/data");
    CLI_SAYS(1, "has other data than rank 0", UNLIKE("$TTT %s -o mixed", "cd far && exec $TTT %s -o mixed"), train,
             train);
}

/* Windows shared by ranks, whose number need not be a power of two; and the units of a study. */
static void test_other_commands(void)
{
    for (int ranks = 2; ranks <= 3; ranks++)
        CLI_OK("for more in --context=16,100 '--context=33 --inner'; do "
               "eval=\"$TTT eval -m one text --compare --json $more\"; "
               "$eval | sed 's/\"seconds[^,]*,//' >alone && test -s alone && "
               "mpirun -np %d $eval | sed 's/\"seconds[^,]*,//' >shared && cmp alone shared || exit 1; done",
               ranks);
    CLI_SAYS(1, "has another text or instruction set than rank 0",
             "head -c 5000 text >shorter; " UNLIKE("$TTT eval -m one text", "exec $TTT eval -m one shorter"));
    CLI_SAYS(1, "standard input is that of one rank", "mpirun -np 2 $TTT eval -m one - <text");
    static const char study[] = "{\"title\": \"Ranks\", \"data\": {\"train\": \"text\", \"held_out\": 0.1, "
                                "\"tokenizer\": \"byte\", \"documents\": {\"test\": \"documents\"}}, \"models\": {"
                                "\"one\": {\"layer\": \"ttt_linear\", \"set\": {\"hidden_size\": 16, "
                                "\"num_attention_heads\": 2, \"intermediate_size\": 16, \"num_hidden_layers\": 1}}}, "
                                "\"evaluations\": {\"test\": {\"documents\": \"test\", \"tokens\": 64}}, \"runs\": "
                                "{\"main\": {\"contexts\": 16, \"batch\": 64, \"tokens\": 256, \"rates\": 1e-3, "
                                "\"seeds\": [1, 2, 3, 4], \"evaluate\": \"test\"}}}";
    cli_write("study.json", study, strlen(study));
    CLI_OK("mkdir documents; for i in 1 2 3; do head -c 900 text >documents/$i.txt; done");
    CLI_OK("$TTT study run study.json -d alone.study");
    CLI_SAYS(0, "units are done", "mpirun -np 3 $TTT study run study.json -d shared.study");
    CLI_OK("diff -r alone.study/results shared.study/results");
}

static void test_refusals(void)
{
    CLI_SAYS(1, "3 ranks cannot share the leaves of an update, which are 8: it takes 1, 2, 4 or 8 ranks",
             "mpirun -np 3 $TTT train %s -o odd --steps 2", train_options);
    CLI_OK("test ! -e odd");
    CLI_SAYS(1, "rank 1 on host ",
             UNLIKE("$TTT train %s -o unlike --steps 2", "exec $TTT train %s -o unlike --steps 3"), train_options,
             train_options);
    CHECK(strstr(cli_output, "has other options than rank 0"));
    CLI_SAYS(1, "has other backends than rank 0",
             UNLIKE("$TTT train %s -o unlike --steps 2", "exec $TTT train %s -o unlike --steps 2 --backend ref"),
             train_options, train_options);
    CLI_SAYS(1, "rank 1 on host ",
             "mkdir -p elsewhere; " UNLIKE("$TTT train %s -o blind --steps 2",
                                           "cd elsewhere && exec $TTT train %s -o blind --steps 2"),
             train_options, train_options);
    CHECK(strstr(cli_output, "the data must be seen by every host"));
    CLI_SAYS(1, "cannot open nothing", "mpirun -np 2 $TTT train nothing -o none --steps 2");
    CLI_OK("test ! -e none");
    CLI_SAYS(1, "mpirun started 2 ranks, but MPI sees 1",
             "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2 $TTT train %s -o none --steps 2", train_options);
    CLI_SAYS(1, "give srun --mpi=pmix", "SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2 $TTT train %s -o none --steps 2",
             train_options);
    CLI_OK("SLURM_PROCID=0 SLURM_NTASKS=2 $TTT train %s -o batch --steps 1", train_options); /* before any srun */
    CLI_SAYS(0, "ranks             2 were started",
             "mpirun -np 2 $TTT train %s -o dry --steps 1 --dry-run && test ! -e dry", train_options);
}

int main(void)
{
    if (mpirun_begin("ranks")) {
        test_bits();
        test_going_on();
        test_copied_data();
        test_other_commands();
        test_refusals();
    }
    return test_end();
}
