/* SPDX-License-Identifier: MIT
 *
 * What MPI itself moves between two ranks: both send and receive at once, MPI_Sendrecv, the fastest of several rounds.
 * Prints megabytes a second in each direction.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* In huge pages, as ttt's memory is. */
static char *huge(size_t size)
{
    char *block = aligned_alloc(2 << 20, size);
    if (block) (void)madvise(block, size, MADV_HUGEPAGE);
    return block;
}

int main(int argc, char **argv)
{
    const size_t size = (size_t)(argc > 1 ? atoi(argv[1]) : 256) << 20;
    const int piece = (argc > 2 ? atoi(argv[2]) : 64) << 20, rounds = 7;
    int rank, ranks;
    double best = 1e9;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    char *out = huge(size), *in = huge(size);
    if (ranks != 2 || !out || !in) MPI_Abort(MPI_COMM_WORLD, 1);
    memset(out, 1, size);
    memset(in, 2, size);
    for (int round = 0; round < rounds; round++) {
        MPI_Barrier(MPI_COMM_WORLD);
        const double start = MPI_Wtime();
        for (size_t at = 0; at < size; at += (size_t)piece)
            MPI_Sendrecv(out + at, piece, MPI_BYTE, !rank, 0, in + at, piece, MPI_BYTE, !rank, 0, MPI_COMM_WORLD,
                         MPI_STATUS_IGNORE);
        const double seconds = MPI_Wtime() - start;
        if (seconds < best) best = seconds;
    }
    if (rank == 0) printf("%.0f\n", (double)size / best / 1e6);
    free(out);
    free(in);
    MPI_Finalize();
    return 0;
}
