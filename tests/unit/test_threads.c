/* SPDX-License-Identifier: MIT
 *
 * base/threads and base/processors: every item once, for any number of threads, awake or asleep; the same bits whatever
 * floating-point environment the host has; a thread that cannot be started; a child of the process; a pool used twice
 * at once; and how many processors there are, by what a kernel may say.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/float_env.h"
#include "base/memory.h"
#include "base/processors.h"
#include "base/threads.h"
#include "fault.h"

static const int counts[] = {1, 2, 3, 7, 16};
enum { COUNTS = sizeof counts / sizeof *counts };

/* ---- lists ---- */

static void square(void *context, int64_t item, int thread)
{
    (void)thread;
    ((int64_t *)context)[item] += item * item + 1;
}

static void lists(void)
{
    const int rounds = test_small() ? 200 : 2000;
    for (int c = 0; c < COUNTS; c++) {
        ttt_pool *pool;
        CHECK_OK(ttt_pool_new(&pool, counts[c]));
        for (int round = 0; round < rounds; round++) { /* where a lost wake-up or an item done twice would show */
            int64_t squares[37] = {0};
            ttt_parallel(pool, 1 + round % 37, square, squares);
            for (int64_t i = 0; i < 1 + round % 37; i++)
                if (squares[i] != i * i + 1) CHECK_EQ(squares[i], i * i + 1);
            if (round % 100 == 99) usleep(1000); /* long enough for the workers to fall asleep */
        }
        ttt_pool_free(pool);
        CHECK(true);
    }
    int64_t squares[3] = {0};
    ttt_parallel(NULL, 3, square, squares);
    CHECK(squares[0] == 1 && squares[1] == 2 && squares[2] == 5);
    ttt_pool_free(NULL);
}

/* The caller has its item while a worker has one that takes longer: it waits for that. */
typedef struct late {
    atomic_bool begun;
    atomic_int done;
} late;

static void come_late(void *context, int64_t item, int thread)
{
    (void)item;
    late *l = context;
    if (thread > 0) {
        atomic_store(&l->begun, true);
        usleep(5000);
    } else {
        while (!atomic_load(&l->begun)) sched_yield();
    }
    l->done++;
}

static void last_items(void)
{
    late l = {0};
    ttt_pool *pool;
    CHECK_OK(ttt_pool_new(&pool, 2));
    ttt_parallel(pool, 2, come_late, &l);
    CHECK_EQ(l.done, 2);
    ttt_pool_free(pool);
}

/* A worker's scratch is its own: no two items run at once with the same thread number. */
typedef struct numbers {
    atomic_int busy[16];
    atomic_int clashes, most;
} numbers;

static void use_number(void *context, int64_t item, int thread)
{
    (void)item;
    numbers *n = context;
    if (atomic_exchange(&n->busy[thread], 1)) n->clashes++;
    if (thread > n->most) n->most = thread;
    usleep(20); /* so that others come in the meantime */
    atomic_store(&n->busy[thread], 0);
}

static void thread_numbers(void)
{
    for (int c = 0; c < COUNTS; c++) {
        static numbers n;
        ttt_pool *pool;
        CHECK_OK(ttt_pool_new(&pool, counts[c]));
        for (int round = 0; round < 5; round++) ttt_parallel(pool, 50, use_number, &n);
        CHECK_EQ(n.clashes, 0);
        CHECK(n.most < counts[c]);
        n.most = 0;
        ttt_pool_free(pool);
    }
}

/* ---- the floating-point environment ---- */

enum { FLOATS = 600 };

/* Subnormal products, and sums that rounding shows in. */
static void compute(void *context, int64_t item, int thread)
{
    (void)thread;
    volatile float small = 1e-30f, x = 1 + (float)item * 0x1p-20f;
    volatile double third = 1.0 / (double)(item + 3);
    ((double *)context)[item] = (double)(small * (x * 1e-10f)) * 1e40 + third;
}

static void environments(void)
{
    double expected[FLOATS], got[FLOATS];
    const uint64_t before = ttt_float_get();
    ttt_parallel(NULL, FLOATS, compute, expected);
    CHECK(expected[5] > 1); /* the subnormal is there */
#if defined(__x86_64__)
    const uint64_t hosts[] = {before, before | 0x8040, (before & ~(uint64_t)0x6000) | 0x4000, before | 0xe040};
#elif defined(__aarch64__)
    const uint64_t hosts[] = {before, before | 1u << 24, before | 1u << 22, before | 3u << 22};
#else
    const uint64_t hosts[] = {before};
#endif
    for (size_t h = 0; h < sizeof hosts / sizeof *hosts; h++) {
        for (int c = 0; c < COUNTS; c++) {
            ttt_pool *pool;
            ttt_float_set(hosts[h]);               /* the workers are created by such a thread too */
            const uint64_t host = ttt_float_get(); /* valgrind keeps the rounding alone */
            CHECK_OK(ttt_pool_new(&pool, counts[c]));
            for (int round = 0; round < 5; round++) {
                memset(got, 0, sizeof got);
                ttt_parallel(pool, FLOATS, compute, got);
                CHECK_EQ(ttt_float_get(), host);
                ttt_float_set(before);
                CHECK(memcmp(got, expected, sizeof got) == 0);
                ttt_float_set(hosts[h]);
            }
            ttt_pool_free(pool);
            ttt_float_set(before);
        }
    }
}

/* ---- threads that cannot be started ---- */

static int threads_alive(void)
{
    DIR *folder = opendir("/proc/self/task");
    if (!folder) return -1;
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(folder));) count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static void starts_that_fail(void)
{
    const int before = threads_alive();
    for (int nth = 1; nth <= 6; nth++) {
        ttt_pool *pool = (ttt_pool *)&nth;
        char sentence[80];
        snprintf(sentence, sizeof sentence, "cannot start thread %d of 7", nth + 1);
        fault_at(TTT_CALL_THREAD, nth, 0);
        CHECK_FAILS(ttt_pool_new(&pool, 7), TTT_ERR_MEMORY, sentence);
        fault_at(TTT_CALL_THREAD, 0, 0);
        CHECK(!pool);
    }
    CHECK_EQ(threads_alive(), before); /* those that were started are gone */
}

/* ---- processes ---- */

/* How a child ends that runs `work`: its status as waitpid has it. */
static int status_of_child(void (*work)(void *context), void *context)
{
    const pid_t child = fork();
    if (child == 0) {
        alarm(60); /* waits for a thread that does not exist */
        if (!freopen("/dev/null", "w", stderr)) _exit(9);
        work(context);
        _exit(0);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

static void free_and_begin_anew(void *context)
{
    ttt_pool *pool;
    ttt_pool_free(context);
#if defined __SANITIZE_THREAD__
    return; /* no new threads in a child, says the sanitizer */
#endif
    int64_t squares[20] = {0};
    if (ttt_pool_new(&pool, 3) != TTT_OK) _exit(1);
    ttt_parallel(pool, 20, square, squares);
    ttt_pool_free(pool);
    if (squares[19] != 362) _exit(2);
}

static void children(void)
{
    ttt_pool *pool;
    int64_t squares[20] = {0};
    CHECK_OK(ttt_pool_new(&pool, 3));
    ttt_parallel(pool, 20, square, squares);
    CHECK_EQ(status_of_child(free_and_begin_anew, pool), 0);
    ttt_parallel(pool, 20, square, squares); /* the parent's goes on */
    CHECK_EQ(squares[19], 2 * 362);
    ttt_pool_free(pool);
}

static void run_nested(void *context, int64_t item, int thread)
{
    (void)item, (void)thread;
    int64_t squares[20] = {0};
    ttt_parallel(context, 20, square, squares);
}

static void nest(void *context)
{
    ttt_pool *pool;
    (void)context;
    if (ttt_pool_new(&pool, 2) != TTT_OK) _exit(1);
    ttt_parallel(pool, 2, run_nested, pool);
}

/* A list inside a list of the same pool is refused; one of a single item takes no thread and is none. */
static void misuse(void)
{
#if defined __SANITIZE_THREAD__
    SKIP("a pool used twice: the sanitizer waits for the other threads of a process that aborts");
    return;
#endif
    const int status = status_of_child(nest, NULL);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* ---- processors ---- */

static int possible; /* processors that the kernel counts; 0: the machine's own */

int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set) /* instead of the C library's */
{
    if (possible && size < (size_t)possible / 8) {
        errno = EINVAL;
        return -1;
    }
    memset(set, 0, size);
    return syscall(SYS_sched_getaffinity, pid, size, set) < 0 ? -1 : 0;
}

static const char root[] = TTT_BINARY_DIR "/test_threads_root";

static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *at = full + sizeof root; (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(full, 0777);
        *at = '/';
    }
    FILE *file = fopen(full, "w");
    CHECK(file && fputs(text, file) >= 0);
    if (file) fclose(file);
}

static void processors(void)
{
    const int count = ttt_processor_count();
    CHECK(count >= 1);
    possible = 2048;
    CHECK_EQ(ttt_processor_count(), count);
    possible = 1 << 19;
    CHECK_EQ(ttt_processor_count(), count);
    possible = 0;

    mkdir(root, 0777);
    CHECK_EQ(ttt_processor_quota("/nonexistent"), 0);
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"); /* an earlier run has left others */
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    CHECK_EQ(ttt_processor_quota(root), 0);
    put("/sys/fs/cgroup/a/cpu.max", "350000 100000\n"); /* that of the group above holds too */
    CHECK_EQ(ttt_processor_quota(root), 3);
    put("/sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
    CHECK_EQ(ttt_processor_quota(root), 1);
    put("/sys/fs/cgroup/a/b/cpu.max", "800000 100000\n");
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    CHECK_EQ(ttt_processor_quota(root), 2);

    put("/proc/self/cgroup", "12:cpuset:/x\n4:cpu,cpuacct:/docker/c\n0::/\n");
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/cpu/docker/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/docker/cpu.cfs_period_us", "100000\n");
    CHECK_EQ(ttt_processor_quota(root), 0);
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "600000\n"); /* a container sees its own group as the topmost */
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    CHECK_EQ(ttt_processor_quota(root), 6);
    put("/proc/self/cgroup", "12:cpuset:/x\n");
    CHECK_EQ(ttt_processor_quota(root), 0);
    put("/proc/self/cgroup", "nothing that anybody knows\n");
    CHECK_EQ(ttt_processor_quota(root), 0);
}

static void memory(void)
{
    CHECK(ttt_memory_left("") > 0);
    CHECK_EQ(ttt_memory_left("/nonexistent"), INT64_MAX);
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/proc/meminfo", "MemTotal:  9000 kB\nMemFree:  100 kB\nMemAvailable:  8000 kB\n");
    put("/sys/fs/cgroup/memory.max", "max\n");
    put("/sys/fs/cgroup/a/b/memory.max", "max\n");
    put("/sys/fs/cgroup/a/memory.max", "max\n");
    CHECK_EQ(ttt_memory_left(root), 8000 * 1024);
    put("/sys/fs/cgroup/a/memory.max", "5000000\n"); /* less what the group's processes hold, files apart */
    put("/sys/fs/cgroup/a/memory.stat", "file 4000000\nanon 3000000\n");
    CHECK_EQ(ttt_memory_left(root), 2000000);
    put("/sys/fs/cgroup/a/b/memory.max", "1000000\n");
    CHECK_EQ(ttt_memory_left(root), 1000000);
    put("/sys/fs/cgroup/a/memory.stat", "anon 6000000\n");
    CHECK_EQ(ttt_memory_left(root), 0);
    put("/proc/self/cgroup", "3:memory:/c\n");
    put("/sys/fs/cgroup/memory/c/memory.limit_in_bytes", "4000000\n");
    put("/sys/fs/cgroup/memory/c/memory.stat", "rss 1\ntotal_rss 1500000\n");
    CHECK_EQ(ttt_memory_left(root), 2500000);
}

int main(void)
{
    lists();
    last_items();
    thread_numbers();
    environments();
    starts_that_fail();
    children();
    misuse();
    processors();
    memory();
    return test_end();
}
