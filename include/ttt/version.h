/* SPDX-License-Identifier: MIT
 *
 * The version, MAJOR.MINOR.PATCH. Versions that differ in PATCH alone are compatible: a program runs with any of them.
 * Before 1.0 another MINOR is another library, with a name of its own (libttt.so.0.1); from 1.0 on another MAJOR is.
 *
 * Structures of options and results are passed by the layout that the header gives them, so a new member is a new MINOR
 * version before 1.0. Programs that fill in options by their _init function, or with designated initialisers, and are
 * compiled again need no change then: a member that nothing was said of is 0 or its default.
 */
#ifndef TTT_VERSION_H
#define TTT_VERSION_H

#include <ttt/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a program was compiled with. */
#define TTT_VERSION_MAJOR          0
#define TTT_VERSION_MINOR          1
#define TTT_VERSION_PATCH          0
#define TTT_VERSION_TEXT_(a, b, c) #a "." #b "." #c
#define TTT_VERSION_TEXT(a, b, c)  TTT_VERSION_TEXT_(a, b, c)
#define TTT_VERSION                TTT_VERSION_TEXT(TTT_VERSION_MAJOR, TTT_VERSION_MINOR, TTT_VERSION_PATCH)

/* What it runs with, such as "0.1.0". Static storage; any thread. */
TTT_API const char *ttt_version(void);

#ifdef __cplusplus
}
#endif
#endif
