/* SPDX-License-Identifier: MIT
 *
 * The one way in which JSON from others is parsed. No key twice; a byte-order mark before it is passed over; and a
 * number that is too large for a computer's is no fault of the file as long as nobody asks for it: a whole number
 * beyond 64 bits is read as a real one, and what exceeds a double too as a string, so that only a reader that needs
 * this number refuses it.
 */
#ifndef TTT_BASE_JSON_H
#define TTT_BASE_JSON_H

#include <jansson.h>
#include <ttt/status.h>

/* As json_loadb, with `flags` beside those above. NULL: *error says why; its line is that of `bytes`. */
json_t *ttt_json_read(const char *bytes, size_t size, size_t flags, json_error_t *error);

/* The code for what *error says then: TTT_ERR_MEMORY, or TTT_ERR_FORMAT. */
ttt_status ttt_json_status(const json_error_t *error);

/* Writes FOLDER/NAME as json_dumps gives `value`, which is released; NULL stands for memory that was short. */
TTT_NODISCARD ttt_status ttt_json_write(const char *folder, const char *name, json_t *value, size_t flags);

/* The bytes that a UTF-8 byte-order mark takes at the start of a text: 3, or 0 if there is none. */
size_t ttt_byte_order_mark(const char *bytes, size_t size);

#endif
