/* SPDX-License-Identifier: MIT
 * Token files: whatever the bytes, opening either refuses them or every id can be read and is in the vocabulary. Each
 * input is tried as it is and with the hash set right, so that the checks behind it are reached. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/hash.h"
#include "data/token_file.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void try_file(const char *path)
{
    ttt_token_file file;
    if (ttt_token_file_open(&file, path) != TTT_OK) return;
    for (int64_t i = 0; i < file.count; i++) {
        int32_t id;
        if (ttt_token_file_read(&file, i, 1, &id) != TTT_OK || id < 0 || id >= file.vocabulary) abort();
    }
    ttt_token_file_close(&file);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    char path[] = "/tmp/fuzz_token_file.XXXXXX";
    const int fd = mkstemp(path);
    if (fd < 0) abort();
    if (write(fd, data, size) != (ssize_t)size) abort();
    try_file(path);
    if (size >= 8) {
        const uint64_t hash = ttt_hash(size > 8 && data[8] == 1 ? TTT_HASH_FNV : TTT_HASH_XXH3, data, size - 8);
        if (pwrite(fd, &hash, sizeof hash, (off_t)(size - 8)) != (ssize_t)sizeof hash) abort();
        try_file(path);
    }
    close(fd);
    unlink(path);
    return 0;
}
