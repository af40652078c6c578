/* SPDX-License-Identifier: MIT
 *
 * The tree is built as a binary number is counted up: a block that is the sum of as many leaves as the one before it
 * joins it at once, so that no more blocks are in use than the number of leaves has digits.
 */
#include "train/leaves.h"

static int levels(int64_t leaves)
{
    int count = 0;
    while ((int64_t)1 << count < leaves) count++;
    return count;
}

size_t ttt_leaves_bytes(const ttt_lm *lm, int64_t leaves)
{
    return ttt_size_times(levels(leaves), (size_t)lm->stack.params.size * lm->backend->real);
}

ttt_status ttt_leaves_init(ttt_leaves *tree, ttt_optimizer *optimizer, int64_t leaves)
{
    const ttt_backend *b = optimizer->lm->backend;
    *tree = (ttt_leaves){.optimizer = optimizer, .blocks = {optimizer->grads}, .count = 1};
    for (int i = 0; i < levels(leaves); i++) {
        char *block = b->ops->alloc(b, optimizer->params->size, b->real);
        if (!block) {
            ttt_leaves_deinit(tree);
            return TTT_ERR_MEMORY;
        }
        tree->blocks[tree->count++] = block;
    }
    return TTT_OK;
}

void ttt_leaves_deinit(ttt_leaves *tree)
{
    for (int i = 0; i < tree->count; i++) { /* the optimizer frees its own */
        const ttt_backend *b = tree->optimizer->lm->backend;
        if (tree->blocks[i] != tree->optimizer->grads) b->ops->free(b, tree->blocks[i]);
    }
    *tree = (ttt_leaves){0};
}

/* Makes a block that of the optimizer's gradients. */
static void bind(const ttt_leaves *tree, char *block)
{
    ttt_optimizer *o = tree->optimizer;
    o->grads = block;
    ttt_weights_bind(o->gradients, o->params, o->lm->backend, block);
}

void ttt_leaves_start(ttt_leaves *tree)
{
    tree->used = 0;
    tree->joined = false;
}

void ttt_leaves_open(ttt_leaves *tree)
{
    const ttt_backend *b = tree->optimizer->lm->backend;
    bind(tree, tree->blocks[tree->used]);
    b->ops->zero(b, tree->blocks[tree->used], tree->optimizer->params->size);
}

void ttt_leaves_join(ttt_leaves *tree, int64_t first, int64_t end)
{
    const ttt_backend *b = tree->optimizer->lm->backend;
    for (int i = tree->used; i > 0; i--)
        b->ops->add(b, ttt_at(b, tree->blocks[i - 1], first), ttt_at(b, tree->blocks[i], first), end - first);
    tree->joined = true;
}

void ttt_leaves_close(ttt_leaves *tree, double loss)
{
    const ttt_backend *b = tree->optimizer->lm->backend;
    tree->widths[tree->used] = 1;
    tree->losses[tree->used++] = loss;
    while (tree->used > 1 && tree->widths[tree->used - 2] == tree->widths[tree->used - 1]) {
        const int left = tree->used - 2, right = tree->used - 1;
        if (!tree->joined) b->ops->add(b, tree->blocks[left], tree->blocks[right], tree->optimizer->params->size);
        tree->losses[left] += tree->losses[right];
        tree->widths[left] *= 2;
        tree->used--;
    }
}

double ttt_leaves_finish(ttt_leaves *tree)
{
    bind(tree, tree->blocks[0]);
    return tree->losses[0];
}
