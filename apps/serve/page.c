/* SPDX-License-Identifier: MIT */
#include "page.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "handlers.h"

/* In the page, what stands for the number that its script and style have and no other has. */
static const char mark[] = "NONCE";
enum { MARK = sizeof mark - 1, RANDOM = 12 };

static bool make_nonce(char nonce[2 * RANDOM + 1])
{
    unsigned char bytes[RANDOM];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) return false;
    for (int i = 0; i < RANDOM; i++) snprintf(nonce + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

void ttt_handle_page(ttt_request *request)
{
    char nonce[2 * RANDOM + 1], policy[256];
    ttt_bytes page = {0};
    if (!make_nonce(nonce)) {
        ttt_answer_error(request, 500, NULL, "the system gives no random numbers");
        return;
    }
    const char *at = (const char *)ttt_page_html, *end = at + ttt_page_html_size;
    for (const char *found; (found = memmem(at, (size_t)(end - at), mark, MARK)); at = found + MARK) {
        ttt_bytes_add(&page, at, (size_t)(found - at));
        ttt_bytes_add_text(&page, nonce);
    }
    ttt_bytes_add(&page, at, (size_t)(end - at));
    snprintf(policy, sizeof policy,
             "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src 'self'; img-src data:; "
             "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
             nonce, nonce);
    ttt_answer_header(request, "Content-Security-Policy", policy);
    ttt_answer_header(request, "X-Content-Type-Options", "nosniff");
    ttt_answer_header(request, "Referrer-Policy", "no-referrer");
    ttt_answer_header(request, "Cache-Control", "no-store");
    if (page.failed) {
        ttt_bytes_free(&page);
        ttt_answer_error(request, 503, NULL, "the server is out of memory");
        return;
    }
    ttt_answer_bytes(request, 200, "text/html; charset=utf-8", page.data, page.size);
}
