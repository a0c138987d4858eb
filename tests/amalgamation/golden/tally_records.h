/* The records of tally, written by the amalgamation: change the engine, not this. */
#define ENGINE_Slot(FIELD) FIELD(held, 0) FIELD(times, 8) FIELD(mark, 12) FIELD(unused, 13)
#define ENGINE_Shelf(FIELD) FIELD(label, 0) FIELD(slots, 8) FIELD(written, 128) FIELD(uses, 128) FIELD(marks, 132) FIELD(sums, 144)
