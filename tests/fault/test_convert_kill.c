/* SPDX-License-Identifier: MIT
 *
 * Conversion that is killed just before each of its calls of the system in turn, into a new folder and over a model:
 * a new folder is whole or not there, and the same command again gives what an undisturbed one gives. Several
 * conversions into one folder at once: what is there is one's alone.
 */
#include <ttt/convert.h>

#include "base/file.h"
#include "child.h"
#include "store/safetensors.h"

#define MODEL TTT_SOURCE_DIR "/tests/golden/mlp_transformer"

static ttt_status work(const void *precision)
{
    const ttt_convert_options options = {.precision = precision};
    return ttt_convert(MODEL, "out", &options, NULL);
}

static void command(const char *line) { CHECK_EQ(system(line), 0); }

static void test_kills(bool fresh)
{
    int64_t calls;
    command("rm -rf out");
    if (!fresh) CHECK_EQ(child_run(work, "bf16", 0, false, NULL), TTT_OK);
    CHECK_EQ(child_run(work, "f32", 0, false, &calls), TTT_OK);
    command("rm -rf whole && cp -r out whole");
    printf("%lld calls\n", (long long)calls);
    CHECK(calls > 15);
    for (int64_t nth = 1; nth <= calls; nth++) {
        command("rm -rf out");
        if (!fresh) CHECK_EQ(child_run(work, "bf16", 0, false, NULL), TTT_OK);
        CHECK_EQ(child_run(work, "f32", nth, false, NULL), 128 + SIGKILL);
        if (fresh) command("! test -e out || diff -r whole out");
        CHECK_EQ(child_run(work, "f32", 0, false, NULL), TTT_OK);
        command("diff -r whole out && ! test -e out.ttt-partial");
    }
}

/* The type of all tensors in out, or -1 where it holds several. */
static int only_type(void)
{
    ttt_safetensors *file;
    CHECK_OK(ttt_safetensors_open(&file, "out"));
    int type = (int)ttt_safetensors_at(file, 0)->dtype;
    for (int64_t i = 0; i < ttt_safetensors_count(file); i++)
        if ((int)ttt_safetensors_at(file, i)->dtype != type) type = -1;
    ttt_safetensors_close(file);
    return type;
}

static void test_crowd(bool fresh)
{
    enum { CROWD = 6, ROUNDS = 10 };
    static const char *const precisions[CROWD] = {"f32", "bf16", "f16", "f32", "bf16", "f16"};
    for (int round = 0; round < ROUNDS; round++) {
        command("rm -rf out");
        if (!fresh) CHECK_EQ(child_run(work, "f32", 0, false, NULL), TTT_OK);
        pid_t children[CROWD];
        int winners = 0;
        for (int i = 0; i < CROWD; i++) children[i] = child_start(work, precisions[i], 0, false, -1);
        for (int i = 0; i < CROWD; i++) {
            const int status = child_wait(children[i]);
            CHECK(status == TTT_OK || status == TTT_ERR_ARGUMENT || status == TTT_ERR_IO);
            winners += status == TTT_OK;
        }
        CHECK(winners >= 1);
        const int type = only_type();
        command(type == TTT_F32    ? "grep -q '\"float32\"' out/config.json"
                : type == TTT_BF16 ? "grep -q '\"bfloat16\"' out/config.json"
                : type == TTT_F16  ? "grep -q '\"float16\"' out/config.json"
                                   : "false");
        command("! ls -a . out | grep -e tmp- -e partial");
    }
}

int main(void)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/scratch/convert_kill", TTT_BINARY_DIR);
    CHECK_OK(ttt_folder_make(folder));
    CHECK_EQ(chdir(folder), 0);
    command("rm -rf *");
    test_kills(true);
    test_kills(false);
    test_crowd(true);
    test_crowd(false);
    return test_end();
}
