/* SPDX-License-Identifier: MIT
 *
 * Products while the host program handles signals: a handler that runs in the middle of one changes no result. (A
 * library below us keeps values where a handler's stack may lie; see cpu/product_onednn.c.)
 */
#include <signal.h>
#include <sys/time.h>

#include "backend/backend.h"
#include "test.h"

enum { ROWS = 128, N = 48, M = 32, REPEATS = 10000, MICROSECONDS = 500 };

static volatile sig_atomic_t alarms;
static void count(int signal) { alarms += signal == SIGALRM; }

static void every(suseconds_t microseconds)
{
    const struct itimerval timer = {.it_interval.tv_usec = microseconds, .it_value.tv_usec = microseconds};
    CHECK_EQ(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

int main(void)
{
    static float dy[ROWS * N], x[ROWS * M], expected[N * M], dw[N * M];
    for (int i = 0; i < ROWS * N; i++) dy[i] = (float)(i * 37 % 101) / 50 - 1;
    for (int i = 0; i < ROWS * M; i++) x[i] = (float)(i * 53 % 103) / 50 - 1;
    const struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    ttt_backend *b;
    CHECK_OK(ttt_backend_new(&b, "cpu", 1));
    const ttt_param want = {.values = expected, .rows = N, .columns = M}, got = {.values = dw, .rows = N, .columns = M};
    b->ops->linear_backward_weight(b, &want, dy, x, ROWS);
    every(MICROSECONDS);
    for (int i = 0; i < REPEATS || (alarms == 0 && i < 1000 * REPEATS); i++) {
        memset(dw, 0, sizeof dw);
        b->ops->linear_backward_weight(b, &got, dy, x, ROWS);
        CHECK(memcmp(dw, expected, sizeof dw) == 0);
    }
    every(0);
    CHECK(alarms > 0);
    printf("%d signals\n", (int)alarms);
    ttt_backend_free(b);
    return test_end();
}
