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

bool ttt_auth_check(const ttt_server *server, const char *authorization, char owner[TTT_OWNER])
{
    static const char scheme[] = "Bearer ";
    const ttt_serve_options *o = server->options;
    owner[0] = '\0';
    if (o->key_count == 0) return true;
    char given[TTT_KEY_LIMIT] = {0};
    const bool bearer = authorization && strncasecmp(authorization, scheme, sizeof scheme - 1) == 0;
    const char *key = bearer ? authorization + sizeof scheme - 1 : "";
    const size_t size = strlen(key);
    if (size < sizeof given) memcpy(given, key, size);
    bool known = false;
    for (size_t i = 0; i < o->key_count; i++) known |= same_key(given, o->keys[i]);
    if (!known) return false;
    const XXH128_hash_t hash = XXH3_128bits(key, size);
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
