/* SPDX-License-Identifier: MIT
 *
 * GET /metrics: the server's counts in the text form of Prometheus. Those that llama-server has too are there under its
 * names as well, so that what was made for it works.
 */
#include "handlers.h"
#include "server.h"

/* `llama`: the name that llama-server gives it; NULL: it has none. */
static void add(ttt_bytes *out, const char *name, const char *llama, const char *type, const char *help, double value)
{
    ttt_bytes_print(out, "# HELP ttt:%s %s\n# TYPE ttt:%s %s\nttt:%s %.17g\n", name, help, name, type, name, value);
    if (llama)
        ttt_bytes_print(out, "# HELP llamacpp:%s %s\n# TYPE llamacpp:%s %s\nllamacpp:%s %.17g\n", llama, help, llama,
                        type, llama, value);
}

static double ratio(double a, double b) { return b > 0 ? a / b : 0; }

static void add_states(ttt_bytes *out, ttt_store *store)
{
    static const char *const reasons[TTT_REFUSED_REASONS] = {"unknown", "conflict", "foreign", "full", "other"};
    ttt_store_figures f;
    ttt_store_measure(store, &f);
    add(out, "states_saved_total", NULL, "counter", "States written to the disk.", (double)f.saved);
    add(out, "states_loaded_total", NULL, "counter", "States read from the disk.", (double)f.loaded);
    add(out, "states_forked_total", NULL, "counter", "Sessions forked.", (double)f.forked);
    add(out, "states_rolled_back_total", NULL, "counter", "Sessions rolled back.", (double)f.rolled_back);
    add(out, "states_memory_bytes", NULL, "gauge", "Memory that states take.", (double)f.memory);
    add(out, "states_disk_bytes", NULL, "gauge", "Disk that states take.", (double)f.disk);
    add(out, "sessions", NULL, "gauge", "Sessions.", (double)f.sessions);
    add(out, "responses", NULL, "gauge", "Responses that are kept.", (double)f.responses);
    ttt_bytes_print(out, "# HELP ttt:states_refused_total Requests for states that were refused, by reason.\n"
                         "# TYPE ttt:states_refused_total counter\n");
    for (int i = 0; i < TTT_REFUSED_REASONS; i++)
        ttt_bytes_print(out, "ttt:states_refused_total{reason=\"%s\"} %lld\n", reasons[i], (long long)f.refused[i]);
}

void ttt_handle_metrics(ttt_request *request)
{
    static const char type[] = "text/plain; version=0.0.4";
    ttt_engine_counts c;
    ttt_bytes out = {0};
    const ttt_server *server = ttt_request_server(request);
    ttt_engine_count(server->engine, &c);
    const double read = (double)c.prompt_tokens, written = (double)c.new_tokens;
    add(&out, "prompt_tokens_total", "prompt_tokens_total", "counter", "Tokens of prompts read.", read);
    add(&out, "prompt_seconds_total", "prompt_seconds_total", "counter", "Seconds spent reading prompts.",
        c.prompt_seconds);
    add(&out, "tokens_predicted_total", "tokens_predicted_total", "counter", "Tokens written.", written);
    add(&out, "tokens_predicted_seconds_total", "tokens_predicted_seconds_total", "counter", "Seconds spent writing.",
        c.new_seconds);
    add(&out, "prompt_tokens_seconds", "prompt_tokens_seconds", "gauge", "Tokens of prompts read a second.",
        ratio(read, c.prompt_seconds));
    add(&out, "predicted_tokens_seconds", "predicted_tokens_seconds", "gauge", "Tokens written a second.",
        ratio(written, c.new_seconds));
    add(&out, "requests_processing", "requests_processing", "gauge", "Texts being read or written.", (double)c.running);
    add(&out, "requests_deferred", "requests_deferred", "gauge", "Requests that wait for a slot.", (double)c.waiting);
    add(&out, "n_decode_total", "n_decode_total", "counter", "Steps of the engine.", (double)c.steps);
    add(&out, "n_busy_slots_per_decode", "n_busy_slots_per_decode", "gauge", "Texts written in a step that writes.",
        ratio((double)c.decode_rows, (double)c.decode_steps));
    add(&out, "cached_tokens_total", NULL, "counter", "Tokens of prompts that a state had read already.",
        (double)c.cached_tokens);
    add(&out, "requests_total", NULL, "counter", "Requests given to the engine.", (double)c.works);
    add(&out, "requests_refused_total", NULL, "counter", "Requests refused because the queue was full.",
        (double)c.refused);
    add(&out, "requests_cancelled_total", NULL, "counter", "Requests whose client left, or that failed.",
        (double)c.cancelled);
    add_states(&out, server->store);
    if (out.failed) {
        ttt_bytes_free(&out);
        ttt_answer_json(request, 503, NULL);
        return;
    }
    ttt_answer_bytes(request, 200, type, out.data, out.size);
}
