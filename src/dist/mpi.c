/* SPDX-License-Identifier: MIT
 *
 * The plug-in libttt_mpi.so: a transport of MPI's two-rank transfers. Nothing collective is used, since MPI promises no
 * order of additions; and everything is called by the thread that called MPI_Init_thread, so that any MPI 3 will do.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/transport.h"

typedef struct mpi {
    ttt_transport base;
    MPI_Comm world;
    MPI_Request requests[TTT_SLOTS][2];
} mpi;

static bool check(mpi *m, int error)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    if (error == MPI_SUCCESS) return true;
    MPI_Error_string(error, text, &length);
    text[strcspn(text, "\n")] = '\0';
    snprintf(m->base.fault, sizeof m->base.fault, "%.150s", text);
    return false;
}

static bool start(ttt_transport *t, int slot, int tag, int to, const void *out, size_t out_bytes, int from, void *in,
                  size_t in_bytes)
{
    mpi *m = (mpi *)t;
    MPI_Request *requests = m->requests[slot];
    if (from != TTT_NOBODY && !check(m, MPI_Irecv(in, (int)in_bytes, MPI_BYTE, from, tag, m->world, &requests[0])))
        return false;
    return to == TTT_NOBODY || check(m, MPI_Isend(out, (int)out_bytes, MPI_BYTE, to, tag, m->world, &requests[1]));
}

static ttt_transfer poll(ttt_transport *t, int slot)
{
    mpi *m = (mpi *)t;
    int done = 0;
    MPI_Status statuses[2];
    const int error = MPI_Testall(2, m->requests[slot], &done, statuses);
    for (int i = 0; error == MPI_ERR_IN_STATUS && i < 2; i++)
        if (!check(m, statuses[i].MPI_ERROR)) return TTT_TRANSFER_FAILED;
    if (!check(m, error)) return TTT_TRANSFER_FAILED;
    return done ? TTT_TRANSFER_DONE : TTT_TRANSFER_GOING;
}

static void mpi_close(ttt_transport *t, bool in_order)
{
    mpi *m = (mpi *)t;
    if (in_order)
        MPI_Finalize();
    else
        MPI_Abort(m->world, 1);
    free(m);
}

static void describe(char *text, size_t size)
{
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    MPI_Get_library_version(version, &length);
    version[strcspn(version, ",\n")] = '\0';
    snprintf(text, size, "%s", version);
}

static ttt_transport *mpi_open(void *context, char *fault, size_t size)
{
    (void)context;
    mpi *m = calloc(1, sizeof *m);
    int provided;
    if (!m) return NULL;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
        snprintf(fault, size, "MPI_Init_thread failed");
        free(m);
        return NULL;
    }
    m->world = MPI_COMM_WORLD;
    MPI_Comm_set_errhandler(m->world, MPI_ERRORS_RETURN);
    MPI_Comm_rank(m->world, &m->base.rank);
    MPI_Comm_size(m->world, &m->base.size);
    for (int slot = 0; slot < TTT_SLOTS; slot++)
        for (int i = 0; i < 2; i++) m->requests[slot][i] = MPI_REQUEST_NULL;
    m->base.start = start;
    m->base.poll = poll;
    m->base.close = mpi_close;
    return &m->base;
}

extern const ttt_transport_plugin ttt_transport_mpi;
__attribute__((visibility("default"))) const ttt_transport_plugin ttt_transport_mpi = {
    .version = TTT_TRANSPORT_VERSION, .open = mpi_open, .describe = describe};
