/* Blocks that early.c allocates before the environment is known, each byte full of its number from 1. */
#ifndef EARLY_H
#define EARLY_H

#include "snugmalloc.h"

/* Where the library is preloaded, nothing that is linked defines them. */
#pragma weak snug_background_step
#pragma weak snug_check
#pragma weak snug_free
#pragma weak snug_malloc
#pragma weak snug_malloc_usable_size
#pragma weak snug_stats
#pragma weak snug_thread_idle

enum { EARLY_BLOCKS = 13 };

extern void *early_blocks[EARLY_BLOCKS];
extern const size_t early_sizes[EARLY_BLOCKS];
extern size_t early_state;

#endif
