/* SPDX-License-Identifier: MIT
 *
 * Reading command lines as a newcomer types them: -h, and names that are nearly right.
 */
#ifndef TTT_APPS_USAGE_H
#define TTT_APPS_USAGE_H

#include <argp.h>

/* argp_parse for a command; -h is --help, and an unknown long option is answered with the one that was meant. */
void ttt_app_parse(const struct argp *argp, int argc, char **argv, void *input);

/* Of `count` names the one that `name` was most likely meant to be, or NULL. */
const char *ttt_app_nearest(const char *name, const char *const *names, int count);

#endif
