/* SPDX-License-Identifier: MIT
 *
 * Who may call. A key is compared with all keys, all bytes of each, so that how long it takes says nothing about how
 * nearly right it is. A page of another origin may not call unless --cors allows it: a browser would send its requests
 * to a server of this machine without asking anybody.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "request.h"
#include "server.h"

static bool same_key(const char given[TTT_KEY_LIMIT], const char *key)
{
    char padded[TTT_KEY_LIMIT] = {0};
    snprintf(padded, sizeof padded, "%s", key);
    volatile unsigned char differs = 0;
    for (int i = 0; i < TTT_KEY_LIMIT; i++) differs |= (unsigned char)(given[i] ^ padded[i]);
    return differs == 0;
}

/* Decodes base64 as far as it fits and is good; returns how many bytes. */
static size_t decode(const char *text, unsigned char *bytes, size_t room)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = 0;
    uint32_t bits = 0;
    int held = 0;
    for (const char *at; *text && size < room && (at = strchr(digits, *text)); text++) {
        bits = bits << 6 | (uint32_t)(at - digits);
        held += 6;
        if (held < 8) continue;
        held -= 8;
        bytes[size++] = (unsigned char)(bits >> held);
    }
    return size;
}

/* The key in the header, and how many bytes it has; "" if there is none. A browser, which asks a person for a name and
 * a password, has it in the password. */
static size_t read_key(const char *authorization, char key[TTT_KEY_LIMIT])
{
    static const char bearer[] = "Bearer ", basic[] = "Basic ";
    unsigned char pair[2 * TTT_KEY_LIMIT];
    memset(key, 0, TTT_KEY_LIMIT);
    const char *given = "";
    size_t size = 0;
    if (authorization && strncasecmp(authorization, bearer, sizeof bearer - 1) == 0) {
        given = authorization + sizeof bearer - 1;
        size = strlen(given);
    } else if (authorization && strncasecmp(authorization, basic, sizeof basic - 1) == 0) {
        const size_t all = decode(authorization + sizeof basic - 1, pair, sizeof pair);
        const unsigned char *colon = memchr(pair, ':', all);
        if (colon) given = (const char *)colon + 1;
        if (colon) size = all - (size_t)(given - (const char *)pair);
    }
    if (size >= TTT_KEY_LIMIT) size = 0;
    memcpy(key, given, size);
    return size;
}

bool ttt_auth_check(const ttt_server *server, const char *authorization, char owner[TTT_OWNER])
{
    const ttt_serve_options *o = server->options;
    owner[0] = '\0';
    if (o->key_count == 0) return true;
    char given[TTT_KEY_LIMIT];
    const size_t size = read_key(authorization, given);
    bool known = false;
    for (size_t i = 0; i < o->key_count; i++) known |= same_key(given, o->keys[i]);
    if (!known) return false;
    const XXH128_hash_t hash = XXH3_128bits(given, size);
    snprintf(owner, TTT_OWNER, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
    return true;
}

bool ttt_auth_origin(const ttt_server *server, const char *origin, const char *host)
{
    const char *cors = server->options->cors;
    if (!origin || (cors && (strcmp(cors, "*") == 0 || strcmp(cors, origin) == 0))) return true;
    const char *name = strstr(origin, "://");
    return name && host && strcasecmp(name + 3, host) == 0;
}
