/* Holds a struct of a public header against the record of the engine that it shows, of which the amalgamation writes the
 * fields: the same names, at the same offsets, and no others.
 *
 *     #define PUBLISHED snug_stats_t
 *     SHOWS(ENGINE_Figures)
 */
#include <stddef.h>

#define SHOWS(FIELDS)                                                                                              \
    FIELDS(SHOWN_AT)                                                                                               \
    _Static_assert(sizeof(PUBLISHED) == 0 FIELDS(SHOWN_WORD), "the header has figures that figures.py lacks");
#define SHOWN_AT(name, offset)                                                                                     \
    _Static_assert(offsetof(PUBLISHED, name) == offset, "the header and figures.py have " #name " elsewhere");
#define SHOWN_WORD(name, offset) +sizeof(size_t)
