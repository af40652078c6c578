/* SPDX-License-Identifier: MIT
 *
 * The smallest program of a user of the library: it reaches the configurations and the tokenizers, and prints figures
 * that would differ if it had been linked with another library than the one installed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <ttt/config.h>
#include <ttt/tokenizer.h>
#include <ttt/version.h>

int main(void)
{
    ttt_config *config = NULL;
    ttt_tokenizer *tokenizer = NULL;
    if (strcmp(ttt_version(), TTT_VERSION) != 0) {
        fprintf(stderr, "compiled with %s, run with %s\n", TTT_VERSION, ttt_version());
        return 1;
    }
    if (ttt_config_new(&config) || ttt_config_standard(config, "125m") || ttt_tokenizer_new_bytes(&tokenizer)) {
        fprintf(stderr, "%s\n", ttt_error_detail());
        return 1;
    }
    printf("%" PRId64 " parameters, %" PRId64 " ids\n", ttt_config_parameters(config),
           ttt_tokenizer_vocabulary(tokenizer));
    ttt_tokenizer_free(tokenizer);
    ttt_config_free(config);
    return 0;
}
