/* SPDX-License-Identifier: MIT
 *
 * What moves bytes between ranks, as a table of functions: MPI in its plug-in (mpi.c), threads of one process in tests.
 * All of it is called by one thread, the comm's own. A transport has few *slots*, each of which holds one transfer on
 * its way: to one peer, from one peer, or both.
 */
#ifndef TTT_DIST_TRANSPORT_H
#define TTT_DIST_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

/* Changes with every change of this file: a plug-in of another build is refused. */
enum { TTT_TRANSPORT_VERSION = 1 };

enum { TTT_SLOT_DATA = 0, TTT_SLOT_HEAR = 2, TTT_SLOT_SAY = 3, TTT_SLOTS = 4 }; /* data has two: one behind the other */
enum { TTT_TAG_DATA = 1, TTT_TAG_LIFE = 2, TTT_NOBODY = -1 };
enum { TTT_TRANSFER_MOST = 1 << 30 }; /* bytes of one transfer */

typedef enum ttt_transfer { TTT_TRANSFER_FAILED = -1, TTT_TRANSFER_GOING = 0, TTT_TRANSFER_DONE = 1 } ttt_transfer;

typedef struct ttt_transport ttt_transport;
struct ttt_transport {
    int rank, size;
    char fault[200]; /* after a failure: what the library below said */
    /* Begins to send `out_bytes` to rank `to` and to receive `in_bytes` from rank `from`, either of which may be
     * TTT_NOBODY. The memory is the transport's until poll says that it is done. Transfers between the same two ranks
     * with the same tag come in the order in which they were begun. */
    bool (*start)(ttt_transport *transport, int slot, int tag, int to, const void *out, size_t out_bytes, int from,
                  void *in, size_t in_bytes);
    ttt_transfer (*poll)(ttt_transport *transport, int slot);
    /* Releases it. In order: no transfer is on its way, and every rank closes. Else at once, ending the others where
     * the library below can. */
    void (*close)(ttt_transport *transport, bool in_order);
};

/* Makes a transport; NULL, with a sentence in `fault`, on failure. */
typedef ttt_transport *(*ttt_transport_opener)(void *context, char *fault, size_t size);

/* What a plug-in exports. */
typedef struct ttt_transport_plugin {
    int version; /* TTT_TRANSPORT_VERSION */
    ttt_transport_opener open;
    void (*describe)(char *text, size_t size); /* the library below, such as "Open MPI v4.1.4" */
} ttt_transport_plugin;
#define TTT_TRANSPORT_SYMBOL "ttt_transport_mpi"

#endif
