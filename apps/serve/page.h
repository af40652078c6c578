/* SPDX-License-Identifier: MIT
 *
 * The page at /: page.html, which the build puts into the program.
 */
#ifndef TTT_SERVE_PAGE_H
#define TTT_SERVE_PAGE_H

#include <stddef.h>

extern const unsigned char ttt_page_html[];
extern const size_t ttt_page_html_size;

#endif
