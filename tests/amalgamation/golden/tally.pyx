# cython: language_level=3, annotation_typing=True, cdivision=True, boundscheck=False, wraparound=False
# The engine's library tally, written by the amalgamation: change the engine, not this.

cdef extern from "machine.h":
    ctypedef unsigned long long Word
    ctypedef unsigned long long Half "Word"
    ctypedef unsigned long long Byte "Word"
    ctypedef int Int
    ctypedef const char *Text
    Word load_word "machine_load_word"(Word address) noexcept nogil
    void store_word "machine_store_word"(Word address, Word value) noexcept nogil
    Word load_half "(Word)machine_load_half"(Word address) noexcept nogil
    Int text_length "machine_text_length"(Text text) noexcept nogil
    bint likely "machine_likely"(bint condition) noexcept nogil

cdef extern from *:
    """
    #define engine_LIMIT ((Word)1000)
    #define engine_DEBUG ((Word)0)
    #define engine_COUNT ((Word)8)
    #define engine_HIGHEST ((Word)0xffffffffffffffffu)
    #define engine_WORST ((Int)-1)
    static const Byte engine_WEIGHTS[3] = {1, 200, 8};
    static _Alignas(64) Byte engine_CELLS_bytes[64];
    #define engine_CELLS ((Word)engine_CELLS_bytes)
    #define engine_NAME "tally \\042\\134\\042 \\351 \\077"
    Word engine_tally_add(Word, Word) __asm__("tally_add");
    Word engine_tally_sum(void) __asm__("tally_sum");
    Word engine_tally_lowest_bit_of_uses(void) __asm__("tally_lowest_bit_of_uses");
    Word engine_tally_halves(Word) __asm__("tally_halves");
    Int engine_tally_digits(Word) __asm__("tally_digits");
    Int engine_tally_name_length(void) __asm__("tally_name_length");
    """
    Word LIMIT "engine_LIMIT"
    Word DEBUG "engine_DEBUG"
    Word COUNT "engine_COUNT"
    Word HIGHEST "engine_HIGHEST"
    Int WORST "engine_WORST"
    const Word WEIGHTS "(Word)engine_WEIGHTS" [3]
    Word CELLS "engine_CELLS"
    Text NAME "engine_NAME"

cdef Word used "engine_used"


#@ tally/cells.py 17
cdef Word cell "engine_cell"(Word number) noexcept nogil:
    #@ tally/cells.py 19
    return CELLS + 8 * number


#@ tally/cells.py 22
cdef bint is_cell "engine_is_cell"(Word number) noexcept nogil:
    #@ tally/cells.py 24
    return 0 <= number < COUNT


#@ tally/cells.py 27
cdef void note_use "engine_note_use"() noexcept nogil:
    #@ tally/cells.py 29
    global used
    used += 1


#@ tally/cells.py 33
cdef Word uses "engine_uses"() noexcept nogil:
    #@ tally/cells.py 35
    return used


#@ tally/cells.py 38
cdef Word load_cell "engine_load_cell"(Word number) noexcept nogil:
    #@ tally/cells.py 40
    return load_word(cell(number))


#@ tally/cells.py 43
cdef Word add "engine_add"(Word number, Word amount) noexcept nogil:
    cdef Word before
    #@ tally/cells.py 45
    note_use()
    before = load_cell(number)
    store_word(cell(number), before + amount)
    return before + amount


#@ tally/cells.py 51
cdef Word low_half_shifted "engine_low_half_shifted"(Word number) noexcept nogil:
    #@ tally/cells.py 53
    return load_half(cell(number)) << 32


#@ tally/cells.py 56
cdef Word weigh "engine_weigh"(Word number) noexcept nogil:
    #@ tally/cells.py 58
    return WEIGHTS[number] << 56


#@ tally/front.py 11
cdef Word _clipped "engine__clipped"(Word amount) noexcept nogil:
    #@ tally/front.py 12
    return amount if amount <= LIMIT else LIMIT  # private: not exported


#@ tally/front.py 15
cdef public Word tally_add "engine_tally_add"(Word number, Word amount) noexcept nogil:
    #@ tally/front.py 17
    if likely(is_cell(number)):
        return add(number, _clipped(amount))
    return HIGHEST


#@ tally/front.py 22
cdef public Word tally_sum "engine_tally_sum"() noexcept nogil:
    cdef Word number
    #@ tally/front.py 24
    total: Word = 0
    for number in range(COUNT):
        total += load_cell(number)
    return total


#@ tally/front.py 30
cdef public Word tally_lowest_bit_of_uses "engine_tally_lowest_bit_of_uses"() noexcept nogil:
    cdef Word bits
    #@ tally/front.py 32
    bits = uses() & ~3
    return bits & -bits


#@ tally/front.py 36
cdef public Word tally_halves "engine_tally_halves"(Word number) noexcept nogil:
    #@ tally/front.py 38
    return low_half_shifted(number) | weigh(number % 3)


#@ tally/front.py 41
cdef public Int tally_digits "engine_tally_digits"(Word number) noexcept nogil:
    #@ tally/front.py 43
    if not number:
        return WORST
    digits: Int = 0
    while True:
        number //= 10
        digits += 1
        if number == 0:
            break
    if DEBUG and digits > 0:
        digits += 1
    return digits


#@ tally/front.py 56
cdef public Int tally_name_length "engine_tally_name_length"() noexcept nogil:
    #@ tally/front.py 58
    return text_length(NAME)
