/* SPDX-License-Identifier: MIT
 *
 * What `ttt info --machine` tells: processors, memory, and which instruction set computes.
 */
#include <stdlib.h>
#include <ttt/machine.h>
#include <unistd.h>

#include "base/threads.h"
#include "cpu/cpu.h"
#include "cpu/isa.h"

ttt_status ttt_machine_read(ttt_machine *machine)
{
    *machine = (ttt_machine){.processors = ttt_processor_count(), .products = ttt_multiply_name};
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0) machine->memory = (int64_t)pages * page;
    int count = 0;
    for (int i = 0; i < TTT_ISA_COUNT && count < TTT_MACHINE_ISAS - 1; i++)
        if (ttt_isa_supported((ttt_isa)i)) machine->isas[count++] = ttt_isa_name((ttt_isa)i);
    ttt_isa chosen;
    TTT_TRY(ttt_isa_choose(&chosen));
    machine->isa = ttt_isa_name(chosen);
    const char *asked = getenv("TTT_ISA");
    machine->isa_asked = asked && *asked;
    return TTT_OK;
}
