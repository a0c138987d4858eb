/* What osmem.h shows of the engine is what the engine has: compiled into libosmem.so, of which it makes nothing. */
#include "common/published.h"
#include "../../include/osmem.h" /* Cython makes another one */
#include "osmem_records.h"

#define PUBLISHED os_stats_t
SHOWS(ENGINE_Figures)
