/* The compiled backend of the toy's machine.py. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t Word;
typedef uint32_t Half;
typedef uint8_t Byte;
typedef int Int;
typedef const char *Text;

static inline Word machine_load_word(Word address) {
    Word value;
    memcpy(&value, (void *)address, sizeof value);
    return value;
}
static inline void machine_store_word(Word address, Word value) { memcpy((void *)address, &value, sizeof value); }
static inline Half machine_load_half(Word address) {
    Half value;
    memcpy(&value, (void *)address, sizeof value);
    return value;
}
static inline void machine_store_half(Word address, Half value) { memcpy((void *)address, &value, sizeof value); }
static inline Byte machine_load_byte(Word address) { return *(Byte *)address; }
static inline void machine_store_byte(Word address, Byte value) { *(Byte *)address = value; }
static inline Word machine_atomic_load(Word address) { return machine_load_word(address); }
static inline Int machine_text_length(Text text) { return (Int)strlen(text); }
#define machine_likely(condition) __builtin_expect(!!(condition), 1)
