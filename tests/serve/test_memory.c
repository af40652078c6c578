/* SPDX-License-Identifier: MIT
 *
 * Memory that is short while a request is answered: each allocation of the server, of the library and of jansson fails
 * in turn, once. The request is answered all the same, with an error or with what it would have been; and the next one
 * is answered as ever. The server runs in this process, so that its allocations can be made to fail.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/system.h"
#include "cli/cli.h"
#include "serve/serve.h"

enum { ANSWER = 1 << 16, MOST = 20000 };

static atomic_llong calls, failing; /* the call that fails; 0: none */
static atomic_int stopped;
static int port;

static bool fails(void) { return atomic_fetch_add(&calls, 1) + 1 == atomic_load(&failing); }

/* The linker puts these in the place of the server's and the library's own calls (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__wrap_strdup(const char *text);
void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return fails() ? NULL : __real_calloc(count, size); }
void *__wrap_realloc(void *block, size_t size) { return fails() ? NULL : __real_realloc(block, size); }

char *__wrap_strdup(const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = __wrap_malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

static int library_fails(ttt_call call) { return call == TTT_CALL_ALLOC && fails() ? ENOMEM : 0; }

/* jansson 2.14 reads and writes past the end of a growing buffer of its own that could not grow: blocks of such sizes,
 * powers of two, do not fail. */
static void *json_malloc(size_t size)
{
    const bool spared = size > 16 && (size & (size - 1)) == 0;
    return !spared && fails() ? NULL : __real_malloc(size);
}

static int stop_signal(void) { return atomic_load(&stopped); }

static void *serve(void *options)
{
    static int code;
    code = ttt_serve(options);
    return &code;
}

static int connect_to(void)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const struct timeval limit = {.tv_sec = 60};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    for (int i = 0; i < 6000; i++, usleep(10000))
        if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) return fd;
    return -1;
}

/* Sends a body and reads all of the answer, which is empty if the connection was closed without one; -1: there was
 * none in a minute. Returns its status, or 0. */
static int ask(const char *path, const char *body, char answer[ANSWER])
{
    char head[512];
    const int fd = connect_to();
    snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n",
             *body ? "POST" : "GET", path, strlen(body));
    ssize_t got = send(fd, head, strlen(head), MSG_NOSIGNAL);
    if (got > 0 && *body) got = send(fd, body, strlen(body), MSG_NOSIGNAL);
    size_t size = 0;
    while (size < ANSWER - 1 && (got = recv(fd, answer + size, ANSWER - 1 - size, 0)) > 0) size += (size_t)got;
    close(fd);
    answer[size] = '\0';
    if (got < 0 && errno == EAGAIN) return -1;
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? atoi(answer + 9) : 0;
}

/* What is the same in every answer: the text, from its first member on. */
static const char *text_of(const char *answer)
{
    const char *choices = strstr(answer, "\"choices\":"), *end = choices ? strstr(choices, "\"usage\"") : NULL;
    static char text[ANSWER];
    snprintf(text, sizeof text, "%.*s", choices && end ? (int)(end - choices) : 0, choices ? choices : "");
    return text;
}

/* Each call of one request in turn, until it needs no more; every so often a plain request must be answered as it was.
 */
static void try_all(const char *path, const char *body, const char *plain, const char *expected)
{
    static char answer[ANSWER];
    int64_t errors = 0, nth = 0;
    for (bool failed = true; failed && nth < MOST;) {
        nth++;
        const long long before = atomic_load(&calls);
        atomic_store(&failing, before + nth);
        const int status = ask(path, body, answer);
        failed = atomic_load(&calls) >= before + nth;
        atomic_store(&failing, 0);
        const bool known = status == 200 || status == 0 || (status >= 400 && status < 600);
        CHECK(known);
        if (!known) fprintf(stderr, "call %lld: status %d: %s\n", (long long)nth, status, answer);
        errors += status != 200;
        CHECK_EQ(ask("/v1/completions", plain, answer), 200);
        CHECK(strcmp(text_of(answer), expected) == 0);
    }
    fprintf(stderr, "%s %.40s: %lld calls, %lld errors\n", path, body, (long long)nth, (long long)errors);
    CHECK(errors > 4 && nth < MOST);
}

int main(void)
{
    cli_begin("serve_memory");
    CLI_OK(
        "for i in $(seq 500); do echo in the beginning was $i; done >text && $TTT train text -o model --tokenizer byte "
        "--set num_hidden_layers=1 --set hidden_size=16 --set num_attention_heads=1 --set intermediate_size=16 "
        "--context 64 --batch 256 --steps 1");
    json_set_alloc_funcs(json_malloc, free);
    ttt_call_watch(library_fails);
    port = 20000 + getpid() % 20000;
    ttt_serve_options options = {.model = "model",
                                 .host = "127.0.0.1",
                                 .port = port,
                                 .parallel = 4,
                                 .queue = 16,
                                 .slice = 16,
                                 .max_tokens = 1000,
                                 .connections = 64,
                                 .grace = 5,
                                 .max_body = 1 << 20,
                                 .states = "states",
                                 .state_memory = 1 << 24,
                                 .state_disk = 1 << 30,
                                 .compute = {.threads = 1},
                                 .signal = stop_signal};
    pthread_t server;
    static char answer[ANSWER], expected[ANSWER];
    static const char plain[] = "{\"prompt\": \"in the\", \"max_tokens\": 4, \"temperature\": 0, \"logprobs\": 1}";
    CHECK_EQ(pthread_create(&server, NULL, serve, &options), 0);
    for (int i = 0; i < 1000 && ask("/health", "", answer) != 200; i++) usleep(10000);
    CHECK_EQ(ask("/v1/completions", plain, answer), 200);
    snprintf(expected, sizeof expected, "%s", text_of(answer));
    CHECK(strstr(expected, "token_logprobs"));
    static const char *const requests[][2] = {
        {"/v1/completions",
         "{\"prompt\": [\"in the beginning\", [1, 2]], \"n\": 2, \"max_tokens\": 3, \"logprobs\": 2, "
         "\"echo\": true, \"stop\": [\"x\", \"yz\"], \"logit_bias\": {\"5\": 1}, \"cache_prompt\": false}"},
        {"/v1/completions", "{\"prompt\": \"was 17\", \"n\": 2, \"max_tokens\": 3, \"stream\": true}"},
        {"/v1/completions", "{\"prompt\": \"was 18\", \"max_tokens\": 3, \"session\": \"notes\"}"},
        {"/v1/chat/completions", "{\"messages\": [{\"role\": \"user\", \"content\": \"who\"}], \"max_tokens\": 3}"},
        {"/v1/responses", "{\"input\": \"who\", \"instructions\": \"be\", \"max_output_tokens\": 3}"},
        {"/v1/responses", "{\"input\": \"why\", \"max_output_tokens\": 3, \"stream\": true}"},
        {"/v1/states/notes/rollback", "{\"position\": 7}"},
        {"/v1/states/notes/fork", "{\"to\": \"copy\"}"},
        {"/v1/states/notes/tokens", ""},
        {"/v1/states/notes", ""},
        {"/v1/states", ""},
        {"/tokenize", "{\"content\": \"in the\", \"with_pieces\": true}"},
        {"/metrics", ""},
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        try_all(requests[i][0], requests[i][1], plain, expected);
    atomic_store(&stopped, 1);
    void *code;
    pthread_join(server, &code);
    CHECK_EQ(*(int *)code, 0);
    return test_end();
}
