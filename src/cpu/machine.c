/* SPDX-License-Identifier: MIT
 *
 * What `ttt info --machine` tells: processors, memory, and which instruction set computes.
 */
#include <assert.h>
#include <stdlib.h>
#include <ttt/machine.h>
#include <unistd.h>

#include "base/processors.h"
#include "cpu/cpu.h"
#include "cpu/isa.h"

ttt_status ttt_machine_read(ttt_machine *machine)
{
    *machine = (ttt_machine){.processors = ttt_processor_count()};
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0) machine->memory = (int64_t)pages * page;
    int has = 0, lacks = 0;
    static_assert((int)TTT_ISA_COUNT < (int)TTT_MACHINE_ISAS, "lists end with NULL");
    for (int i = 0; i < TTT_ISA_COUNT; i++) {
        const char *name = ttt_isa_name((ttt_isa)i), *why = ttt_isa_lacks((ttt_isa)i);
        if (!why) {
            machine->isas[has++] = name;
        } else if (ttt_kernels_of((ttt_isa)i)) {
            machine->lacks[lacks].name = name;
            machine->lacks[lacks++].why = why;
        }
    }
    ttt_isa chosen;
    TTT_TRY(ttt_isa_choose(&chosen));
    machine->isa = ttt_isa_name(chosen);
    const char *asked = getenv("TTT_ISA");
    machine->isa_asked = asked && *asked;
    return TTT_OK;
}
