/* Calls that a tracer can tell apart: STEP(call) stands between two marks, which are system calls that fail
 * at once, munmap(1, line) before and munmap(3, result) after.
 *
 * Behind each STEP stands what must be seen: `// = result, system calls`, as offsets from the break or from the
 * n-th mapping. A part that is missing is not judged (result) or must be empty (system calls).
 */
#ifndef TRACE_H
#define TRACE_H

#include "block.h"
#include <sys/syscall.h>

static inline void mark(long which, unsigned long value) {
    int kept = errno;
    syscall(SYS_munmap, which, value);
    errno = kept;
}

#define STEP(call)                           \
    ({                                       \
        mark(1, __LINE__);                   \
        void *step_result = (call);          \
        mark(3, (unsigned long)step_result); \
        step_result;                         \
    })

static inline void *freeing(void *pointer) {
    os_free(pointer);
    return NULL;
}

#define FREE(pointer) (void)STEP(freeing(pointer))

#endif
