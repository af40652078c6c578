/* SPDX-License-Identifier: MIT
 *
 * How many processors this process may keep busy.
 */
#ifndef TTT_BASE_PROCESSORS_H
#define TTT_BASE_PROCESSORS_H

/* Those it may run on, or fewer where a container's share of them is smaller; at least 1. */
int ttt_processor_count(void);

/* The share in whole processors, at least 1; 0 if there is no limit. `root` stands before /proc and /sys: "" but in
 * tests. */
int ttt_processor_quota(const char *root);

#endif
