/* SPDX-License-Identifier: MIT
 *
 * The control groups (version 2 or 1) that limit this process: its own and all above it.
 */
#ifndef TTT_BASE_CONTROL_GROUPS_H
#define TTT_BASE_CONTROL_GROUPS_H

#include <stddef.h>

/* Calls `take` with the folder of every group that has `controller` ("cpu", "memory"); `root` stands before /proc and
 * /sys: "" but in tests. What cannot be read is left out. */
void ttt_control_groups(const char *root, const char *controller, void (*take)(void *context, const char *folder),
                        void *context);

/* The first line of a file, or the first that begins with `start`; 0 if there is none. */
int ttt_control_line(char *line, size_t size, const char *folder, const char *name, const char *start);

/* The first number of a file, -1 if there is none. */
long long ttt_control_number(const char *folder, const char *name);

#endif
