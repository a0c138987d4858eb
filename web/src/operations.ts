/** Owns the operations of a trace: their numbers in the file, and which figures each comes with. */

export const FREE = 5;
export const REALLOC = 3;
export const GROWTH = 16;
export const PURGE = 17;
export const TRIM = 18;
export const MAP = 19;
export const UNMAP = 20;
export const REFUSAL = 21;
export const FORK = 22;
export const THREAD_BEGIN = 23;
export const THREAD_NAME = 25;
export const LOST = 26;
/** Added to the number of a call that gave NULL. */
export const REFUSED = 0x80;

const CALLOC = 2;
const ALIGNED = 4;
const ALLOCATIONS = [1, CALLOC, REALLOC, ALIGNED];

const NAMES: Record<number, string> = {
  1: "malloc",
  [CALLOC]: "calloc",
  [REALLOC]: "realloc",
  [ALIGNED]: "aligned",
  [FREE]: "free",
  [GROWTH]: "the heap grew",
  [PURGE]: "given back",
  [TRIM]: "trimmed",
  [MAP]: "mapped",
  [UNMAP]: "unmapped",
  [REFUSAL]: "refused",
  [FORK]: "fork",
  [THREAD_BEGIN]: "a thread begins",
  24: "a thread ends",
  [THREAD_NAME]: "a thread gets its name",
  [LOST]: "calls were lost",
};

/** What an operation is called. */
export function nameOf(operation: number): string {
  const name = NAMES[operation & ~REFUSED] ?? "unknown";
  return operation & REFUSED ? `${name} refused` : name;
}

function tableOf(members: number[], alsoRefused: boolean): Uint8Array {
  const table = new Uint8Array(256);
  for (const member of members) {
    table[member] = 1;
    if (alsoRefused && ALLOCATIONS.includes(member)) table[member | REFUSED] = 1;
  }
  return table;
}

const WITH_ADDRESS = [...ALLOCATIONS, GROWTH, PURGE, MAP, UNMAP];

export const IS_ALLOCATION = tableOf(ALLOCATIONS, true);
export const GIVES_BLOCK = tableOf(ALLOCATIONS, false);
export const HAS_POINTER = tableOf([REALLOC, FREE], true);
export const HAS_ADDRESS = tableOf(WITH_ADDRESS, false);
export const HAS_SIZE = tableOf([...WITH_ADDRESS, TRIM, REFUSAL], true);
export const HAS_NUMBER = tableOf([CALLOC, ALIGNED, REFUSAL, FORK, THREAD_BEGIN, THREAD_NAME, LOST], true);
