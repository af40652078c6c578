/* SPDX-License-Identifier: MIT */
#include <ttt/version.h>

const char *ttt_version(void) { return TTT_VERSION; }
