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
    void store_half "machine_store_half"(Word address, Word value) noexcept nogil
    Word load_byte "(Word)machine_load_byte"(Word address) noexcept nogil
    void store_byte "machine_store_byte"(Word address, Word value) noexcept nogil
    Word atomic_load "machine_atomic_load"(Word address) noexcept nogil
    Int text_length "machine_text_length"(Text text) noexcept nogil
    bint likely "machine_likely"(bint condition) noexcept nogil

cdef extern from *:
    """
    #define engine_LIMIT ((Word)1000)
    #define engine_Word_SIZE ((Word)8)
    #define engine_Half_SIZE ((Word)4)
    #define engine_Byte_SIZE ((Word)1)
    #define engine_IGNORED_BITS ((Word)3)
    #define engine_DEBUG ((Word)0)
    #define engine_COUNT ((Word)8)
    #define engine_HIGHEST ((Word)0xffffffffffffffffu)
    #define engine_WORST ((Int)-1)
    static const Byte engine_WEIGHTS[3] = {1, 200, 8};
    static _Alignas(64) Byte engine_CELLS_bytes[64];
    #define engine_CELLS ((Word)engine_CELLS_bytes)
    #define engine_SLOT_BYTES ((Word)16)
    #define engine_SLOTS ((Word)4)
    #define engine_LOW_BITS ((Word)0xfffffffffffu)
    #define engine_Slot_SIZE ((Word)16)
    #define engine_Slot_held ((Word)0)
    #define engine_Slot_times ((Word)8)
    #define engine_Slot_mark ((Word)12)
    #define engine_Slot_unused ((Word)13)
    #define engine_Shelf_SIZE ((Word)192)
    #define engine_Shelf_label ((Word)0)
    #define engine_Shelf_slots ((Word)8)
    #define engine_Shelf_written ((Word)128)
    #define engine_Shelf_uses ((Word)128)
    #define engine_Shelf_marks ((Word)132)
    #define engine_Shelf_sums ((Word)144)
    static _Alignas(64) Byte engine_SHELVES_bytes[384];
    #define engine_SHELVES ((Word)engine_SHELVES_bytes)
    #define engine_SUMS ((Word)144)
    #define engine_NAME "tally \\042\\134\\042 \\351 \\077"
    Word engine_tally_add(Word, Word) __asm__("tally_add");
    Word engine_tally_sum(void) __asm__("tally_sum");
    Word engine_tally_lowest_bit_of_uses(void) __asm__("tally_lowest_bit_of_uses");
    Word engine_tally_halves(Word) __asm__("tally_halves");
    Int engine_tally_digits(Word) __asm__("tally_digits");
    Word engine_tally_put(Word, Word) __asm__("tally_put");
    Word engine_tally_shelf(Word) __asm__("tally_shelf");
    Int engine_tally_name_length(void) __asm__("tally_name_length");
    """
    Word LIMIT "engine_LIMIT"
    Word Word_SIZE "engine_Word_SIZE"
    Word Half_SIZE "engine_Half_SIZE"
    Word Byte_SIZE "engine_Byte_SIZE"
    Word IGNORED_BITS "engine_IGNORED_BITS"
    Word DEBUG "engine_DEBUG"
    Word COUNT "engine_COUNT"
    Word HIGHEST "engine_HIGHEST"
    Int WORST "engine_WORST"
    const Word WEIGHTS "(Word)engine_WEIGHTS" [3]
    Word CELLS "engine_CELLS"
    Word SLOT_BYTES "engine_SLOT_BYTES"
    Word SLOTS "engine_SLOTS"
    Word LOW_BITS "engine_LOW_BITS"
    ctypedef unsigned long long Slot "Word"
    Word Slot_SIZE "engine_Slot_SIZE"
    Word Slot_held "engine_Slot_held"
    Word Slot_times "engine_Slot_times"
    Word Slot_mark "engine_Slot_mark"
    Word Slot_unused "engine_Slot_unused"
    ctypedef unsigned long long Shelf "Word"
    Word Shelf_SIZE "engine_Shelf_SIZE"
    Word Shelf_label "engine_Shelf_label"
    Word Shelf_slots "engine_Shelf_slots"
    Word Shelf_written "engine_Shelf_written"
    Word Shelf_uses "engine_Shelf_uses"
    Word Shelf_marks "engine_Shelf_marks"
    Word Shelf_sums "engine_Shelf_sums"
    Word SHELVES "engine_SHELVES"
    Word SUMS "engine_SUMS"
    Text NAME "engine_NAME"

cdef Word used "engine_used"


#@ common/uses.py 10
cdef void note_use "engine_note_use"() noexcept nogil:
    #@ common/uses.py 12
    global used
    used += 1


#@ common/uses.py 16
cdef Word uses "engine_uses"() noexcept nogil:
    #@ common/uses.py 18
    return used


#@ common/bits.py 12
cdef inline Word lowest_bit_of_uses "engine_lowest_bit_of_uses"() noexcept nogil:
    cdef Word bits
    #@ common/bits.py 14
    bits = uses() & ~IGNORED_BITS
    return bits & -bits


#@ tally/cells.py 16
cdef Word cell "engine_cell"(Word number) noexcept nogil:
    #@ tally/cells.py 18
    return CELLS + 8 * number


#@ tally/cells.py 21
cdef bint is_cell "engine_is_cell"(Word number) noexcept nogil:
    #@ tally/cells.py 23
    return 0 <= number < COUNT


#@ tally/cells.py 26
cdef Word load_cell "engine_load_cell"(Word number) noexcept nogil:
    #@ tally/cells.py 28
    return load_word(cell(number))


#@ tally/cells.py 31
cdef Word add "engine_add"(Word number, Word amount) noexcept nogil:
    cdef Word before
    #@ tally/cells.py 33
    note_use()
    before = load_cell(number)
    store_word(cell(number), before + amount)
    return before + amount


#@ tally/cells.py 39
cdef Word low_half_shifted "engine_low_half_shifted"(Word number) noexcept nogil:
    #@ tally/cells.py 41
    return load_half(cell(number)) << 32


#@ tally/cells.py 44
cdef Word weigh "engine_weigh"(Word number) noexcept nogil:
    #@ tally/cells.py 46
    return WEIGHTS[number] << 56


#@ tally/shelves.py 43
cdef Word shelf "engine_shelf"(Word number) noexcept nogil:
    #@ tally/shelves.py 45
    return (SHELVES + (number & 1) * Shelf_SIZE)


#@ tally/shelves.py 48
cdef (Word, bint) put "engine_put"(Word shelf, Word index, Word thing) noexcept nogil:
    cdef Word slot
    cdef Word before
    cdef bint was_used
    #@ tally/shelves.py 50
    slot = (shelf + Shelf_slots + index * Slot_SIZE)
    before = load_word(slot + Slot_held)
    was_used = load_half(slot + Slot_times) != 0
    store_word(slot + Slot_held, thing)
    store_half(slot + Slot_times, load_half(slot + Slot_times) + 1)
    store_byte(slot + Slot_mark, thing & 255)
    (store_half(shelf + Shelf_uses, load_half(shelf + Shelf_uses) + 1)

)
    store_byte(shelf + Shelf_marks + index * Byte_SIZE, load_byte(shelf + Shelf_marks + index * Byte_SIZE) + load_byte(shelf + Shelf_slots + Slot_mark) & 255)
    store_word(shelf + Shelf_sums + index * Word_SIZE, load_word(shelf + SUMS + 8 * index) ^ thing)
    return before, was_used


#@ tally/shelves.py 64
cdef (Word, Word) described "engine_described"(Word which) noexcept nogil:
    cdef Word index
    #@ tally/shelves.py 66
    total: Word = 0
    for index in range(SLOTS):
        total ^= load_word(which + Shelf_sums + index * Word_SIZE) + (load_byte(which + Shelf_marks + index * Byte_SIZE) << 40) & LOW_BITS ^ load_half(which + Shelf_slots + Slot_times)
    return load_half(which + Shelf_uses) << 40, total + ((which + Shelf_written) - which)


#@ tally/front.py 13
cdef Word _clipped "engine__clipped"(Word amount) noexcept nogil:
    #@ tally/front.py 14
    return amount if amount <= LIMIT else LIMIT  # private: not exported


#@ tally/front.py 17
cdef public Word tally_add "engine_tally_add"(Word number, Word amount) noexcept nogil:
    #@ tally/front.py 19
    if likely(is_cell(number)):
        return add(number, _clipped(amount))
    return HIGHEST


#@ tally/front.py 24
cdef public Word tally_sum "engine_tally_sum"() noexcept nogil:
    cdef Word number
    #@ tally/front.py 26
    total: Word = 0
    for number in range(COUNT):
        total += load_cell(number)
    return total


#@ tally/front.py 32
cdef public Word tally_lowest_bit_of_uses "engine_tally_lowest_bit_of_uses"() noexcept nogil:
    #@ tally/front.py 34
    return lowest_bit_of_uses()


#@ tally/front.py 37
cdef public Word tally_halves "engine_tally_halves"(Word number) noexcept nogil:
    #@ tally/front.py 39
    return low_half_shifted(number) | weigh(number % 3)


#@ tally/front.py 42
cdef public Int tally_digits "engine_tally_digits"(Word number) noexcept nogil:
    #@ tally/front.py 44
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


#@ tally/front.py 57
cdef public Word tally_put "engine_tally_put"(Word number, Word thing) noexcept nogil:
    cdef Word before
    cdef bint was_used
    #@ tally/front.py 59
    before, was_used = put(shelf(number), number % SLOTS, thing)
    return before if was_used else HIGHEST


#@ tally/front.py 63
cdef public Word tally_shelf "engine_tally_shelf"(Word number) noexcept nogil:
    cdef Word used
    cdef Word total
    #@ tally/front.py 65
    used, total = described(shelf(number))
    return used ^ total


#@ tally/front.py 69
cdef public Int tally_name_length "engine_tally_name_length"() noexcept nogil:
    #@ tally/front.py 71
    return text_length(NAME)
