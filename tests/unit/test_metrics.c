/* SPDX-License-Identifier: MIT
 * src/train/metrics: what is written is there at once, and a resume leaves each step once. */
#include <signal.h>
#include <sys/resource.h>
#include <ttt/metrics.h>
#include <unistd.h>

#include "base/file.h"
#include "fault.h"
#include "test.h"

static const char *const path = TTT_BINARY_DIR "/test_metrics.jsonl";

static void check_content(const char *expected)
{
    ttt_buffer text = {0};
    CHECK_OK(ttt_file_read(&text, path, 100000));
    CHECK_STR(text.data, expected);
    ttt_buffer_deinit(&text);
}

static void write_step(ttt_metrics *metrics, double step, double loss)
{
    const ttt_metric values[] = {{"step", step}, {"loss", loss}};
    CHECK_OK(ttt_metrics_write(metrics, values, 2));
}

static void append_and_resume(void)
{
    ttt_metrics *metrics;
    unlink(path);
    CHECK_OK(ttt_metrics_open(&metrics, path, 0));
    write_step(metrics, 0, 5.5);
    write_step(metrics, 1, 0.1f);
    write_step(metrics, 2, NAN);
    check_content(
        "{\"step\": 0, \"loss\": 5.5}\n{\"step\": 1, \"loss\": 0.100000001}\n{\"step\": 2, \"loss\": null}\n");
    CHECK_OK(ttt_metrics_sync(metrics));
    ttt_metrics_close(metrics);

    CHECK_OK(ttt_metrics_open(&metrics, path, 2));
    CHECK_EQ(ttt_metrics_lines(metrics), 2);
    write_step(metrics, 2, 2e10);
    CHECK_EQ(ttt_metrics_lines(metrics), 3);
    check_content(
        "{\"step\": 0, \"loss\": 5.5}\n{\"step\": 1, \"loss\": 0.100000001}\n{\"step\": 2, \"loss\": 20000000000}\n");
    ttt_metrics_close(metrics);
    CHECK_OK(ttt_metrics_open(&metrics, path, 0));
    check_content("");
    ttt_metrics_close(metrics);
}

static void half_a_line_is_dropped(void)
{
    static const char two[] = "{\"step\": 1}\n{\"step\": 2}\n{\"step\": 3, \"lo";
    for (int64_t lines = 0; lines < 5; lines++) {
        ttt_metrics *metrics;
        CHECK_OK(ttt_file_write(path, two, sizeof two - 1));
        CHECK_OK(ttt_metrics_open(&metrics, path, lines));
        check_content(lines == 0 ? "" : lines == 1 ? "{\"step\": 1}\n" : "{\"step\": 1}\n{\"step\": 2}\n");
        CHECK_EQ(ttt_metrics_lines(metrics), lines < 2 ? lines : 2);
        ttt_metrics_close(metrics);
    }
}

/* The limit on a file's size makes a write short and the next one fail, as a full disk does. */
static void full_disk(void)
{
    ttt_metrics *metrics;
    unlink(path);
    CHECK_OK(ttt_metrics_open(&metrics, path, 0));
    write_step(metrics, 1, 1);
    struct rlimit limit, small;
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, SIG_IGN);
    small = limit;
    small.rlim_cur = 30;
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    const ttt_metric values[] = {{"step", 2}, {"loss", 2}};
    CHECK_FAILS(ttt_metrics_write(metrics, values, 2), TTT_ERR_IO, path);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    check_content("{\"step\": 1, \"loss\": 1}\n");
    write_step(metrics, 2, 3);
    check_content("{\"step\": 1, \"loss\": 1}\n{\"step\": 2, \"loss\": 3}\n");
    ttt_metrics_close(metrics);
}

static void failures(void)
{
    ttt_metrics *metrics;
    CHECK_FAILS(ttt_metrics_open(&metrics, TTT_BINARY_DIR, 0), TTT_ERR_IO, TTT_BINARY_DIR);
    CHECK(metrics == NULL);
    ttt_status status = TTT_ERR_MEMORY;
    for (int nth = 1; status != TTT_OK && nth < 100; nth++) {
        fault_at(TTT_CALL_ALLOC, nth, 0);
        status = ttt_metrics_open(&metrics, path, 1);
        if (status == TTT_OK) {
            const ttt_metric value = {"step", 2};
            status = ttt_metrics_write(metrics, &value, 1);
        }
        fault_at(TTT_CALL_ALLOC, 0, 0);
        CHECK(status == TTT_OK || status == TTT_ERR_MEMORY);
        ttt_metrics_close(metrics);
    }
    check_content("{\"step\": 1, \"loss\": 1}\n{\"step\": 2}\n");
}

int main(void)
{
    append_and_resume();
    half_a_line_is_dropped();
    full_disk();
    failures();
    unlink(path);
    return test_end();
}
