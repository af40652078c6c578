/* SPDX-License-Identifier: MIT
 *
 * Operations that measure themselves: a table of operations that stands before a backend's own, calls it, and adds up
 * time, work and bytes of each. A backend that is not timed does not know of it, so it costs nothing there; one that is
 * serves one caller at a time, however few its threads.
 */
#ifndef TTT_BACKEND_TIMED_H
#define TTT_BACKEND_TIMED_H

#include <ttt/profile.h>

#include "backend/backend.h"

/* From now on the backend's operations are timed; the table is freed with the backend. */
TTT_NODISCARD ttt_status ttt_timed_start(ttt_backend *backend);

/* What they took so far; no rows if they are not timed. `seconds` is left to the caller, who knows the whole. */
ttt_profile ttt_timed_profile(const ttt_backend *backend);

#endif
