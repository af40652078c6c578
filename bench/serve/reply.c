/* SPDX-License-Identifier: MIT */
#include "reply.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Adds a byte to the line; true: it is complete, without its end. */
static bool add(reply *r, char c)
{
    if (c != '\n') {
        if (r->size < sizeof r->line - 1) r->line[r->size++] = c;
        return false;
    }
    if (r->size > 0 && r->line[r->size - 1] == '\r') r->size--;
    r->line[r->size] = '\0';
    r->size = 0;
    return true;
}

static void take_header(reply *r)
{
    static const char chunked[] = "transfer-encoding: chunked";
    if (r->status == 0)
        r->status = strncmp(r->line, "HTTP/1.", 7) == 0 && strlen(r->line) > 9 ? atoi(r->line + 9) : -1;
    else if (strncasecmp(r->line, chunked, strlen(chunked)) == 0)
        r->chunked = true;
    else if (*r->line == '\0')
        r->phase = r->chunked ? REPLY_SIZE : REPLY_BODY;
}

static void take_event(reply *r)
{
    static const char *const reasons[] = {"\"finish_reason\":\"length\"", "\"finish_reason\": \"length\""};
    if (strncmp(r->line, "data: ", 6) != 0) return;
    if (strncmp(r->line + 6, "[DONE]", 6) == 0) {
        r->done = true;
        return;
    }
    if (strstr(r->line, "\"text\"")) r->events++; /* that with the usage has none */
    r->finished = r->finished || strstr(r->line, reasons[0]) || strstr(r->line, reasons[1]);
}

/* The size of a chunk is a line of its own; what stands behind its digits is passed over. */
static void take_size(reply *r, char c)
{
    if (c == '\n')
        r->phase = REPLY_BODY;
    else if (c == ';' || c == '\r')
        r->extension = true;
    else if (!r->extension)
        r->left = 16 * r->left + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

static void take_byte(reply *r, char c)
{
    switch (r->phase) {
    case REPLY_HEAD:
        if (add(r, c)) take_header(r);
        return;
    case REPLY_SIZE: take_size(r, c); return;
    case REPLY_BODY:
        if (add(r, c)) take_event(r);
        if (r->chunked && --r->left == 0) r->phase = REPLY_CHUNK_END;
        return;
    case REPLY_CHUNK_END:
        if (c != '\n') return;
        r->phase = REPLY_SIZE;
        r->extension = false;
        return;
    }
}

long reply_take(reply *r, const char *bytes, size_t size)
{
    const long before = r->events;
    for (size_t i = 0; i < size; i++) take_byte(r, bytes[i]);
    return r->events - before;
}
