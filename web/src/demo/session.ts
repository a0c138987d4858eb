/** Owns what `snug view --demo` puts into the page: a session of calls, and what each of them did. */

/** A number; as text if it is too large for one. */
export type Value = number | string | boolean | null;

export interface Field {
  readonly name: string;
  /** Where in the header it begins. */
  readonly offset: number;
  readonly width: number;
  readonly value: string;
  readonly says: string;
}

export interface Block {
  /** The address of its payload. */
  readonly at: number;
  readonly size: number;
  readonly status: "free" | "live" | "mapped";
  /** Where a free block is kept. */
  readonly kept: "" | "waiting" | "list" | "tree";
  /** The bin of a free block of its size. */
  readonly bin: number | null;
  /** It is the last one of the heap. */
  readonly isTop: boolean;
  /** What the program calls the pointer to it. */
  readonly name: string;
  /** The bytes that the program asked for, if it holds the pointer. */
  readonly asked: number | null;
  readonly fields: readonly Field[];
}

/** Something that a call did to the memory between two addresses. */
export interface Happening {
  readonly kind: string;
  readonly says: string;
  readonly begin: number;
  readonly end: number;
}

export interface Candidate {
  readonly at: number;
  readonly size: number;
  readonly bin: number;
}

/** A search for the best fit. */
export interface Search {
  readonly wanted: number;
  readonly bin: number;
  /** The bins that it looked in. */
  readonly bins: readonly number[];
  /** All free blocks, in order of size and address. */
  readonly candidates: readonly Candidate[];
  /** The block that was taken, or 0. */
  readonly chosen: number;
}

/** A call of one of the engine's functions. */
export interface Passage {
  readonly function: number;
  readonly depth: number;
  readonly arguments: readonly (readonly [string, Value])[];
  readonly result: Value;
  /** The lines of its file that ran. */
  readonly lines: readonly number[];
}

export interface EngineFunction {
  readonly layer: string;
  readonly name: string;
  /** The line at which its source begins. */
  readonly line: number;
  readonly source: string;
  readonly isDetail: boolean;
}

export interface SystemCall {
  readonly name: string;
  readonly arguments: readonly number[];
  /** Nothing if the kernel refused it. */
  readonly result: number | null;
}

export interface Step {
  readonly title: string;
  readonly call: string;
  readonly says: string;
  readonly answer: number | null;
  readonly errno: number;
  /** The passage that the step is about. */
  readonly about: number;
  readonly systemCalls: readonly SystemCall[];
  readonly happened: readonly Happening[];
  readonly search: Search | null;
  /** Where the heap ends: the break. */
  readonly end: number;
  readonly blocks: readonly Block[];
  readonly passages: readonly Passage[];
}

export interface Session {
  /** Where the heap begins. */
  readonly start: number;
  /** Bytes of a header. */
  readonly header: number;
  readonly functions: readonly EngineFunction[];
  readonly steps: readonly Step[];
}
