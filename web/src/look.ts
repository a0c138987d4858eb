/** Owns what can be said of one place in the space: the block that is there or was, and its neighbours. */
import type { Heap } from "./heap";
import { isBeside } from "./overhead";
import { slotsIn } from "./painter";
import { lastAtMost } from "./space";
import { NO_BLOCK } from "./trace";

export interface Neighbour {
  readonly offset: number;
  readonly size: number;
  /** Bytes between it and the place that was asked for. */
  readonly gap: number;
  /** No block ever began in between. */
  readonly isBeside: boolean;
}

/** What is at a place. Moments are in events that had happened, times in ticks or nothing. */
export interface Found {
  readonly state: "live" | "free" | "given back" | "never used";
  readonly address: number;
  readonly offset: number;
  readonly size: number;
  /** The live block, or the last one that was here. */
  readonly block: number;
  readonly blockSize: number;
  readonly thread: string;
  readonly frames: string[];
  readonly born: number;
  readonly bornTime: number | null;
  readonly died: number | null;
  readonly diedTime: number | null;
  readonly freedThread: string | null;
  readonly givenBack: number | null;
  readonly before: Neighbour | null;
  readonly after: Neighbour | null;
}

/** What is at a place now. */
export function lookAt(heap: Heap, offset: number): Found {
  const { slots, trace } = heap;
  const [first] = slotsIn(heap, offset, offset + 1);
  const here = liveAt(heap, first, offset);
  const beforeSlot = heap.previousLive(
    here < 0 ? lastAtMost(slots.count, (at) => slots.offset[at]!, offset) : here - 1,
  );
  const afterSlot = heap.nextLive(
    here < 0 ? lastAtMost(slots.count, (at) => slots.offset[at]!, offset) + 1 : here + 1,
  );
  const part = slots.space.partAt(offset);
  const partEnd = part ? part.offset + part.length : 0;
  const partBegin = part?.offset ?? 0;

  const beforeEnd = beforeSlot < 0 ? partBegin : Math.max(partBegin, endOf(heap, beforeSlot));
  const afterBegin = afterSlot < slots.count ? Math.min(partEnd, slots.offset[afterSlot]!) : partEnd;
  const begin = here < 0 ? beforeEnd : slots.offset[here]!;
  const end = here < 0 ? afterBegin : endOf(heap, here);

  const block = here < 0 ? lastBlockAt(heap, offset) : heap.last[here]!;
  const died = here < 0 && block >= 0 ? heap.died[block]! : null;
  const back = heap.tellsGivenBack ? heap.backAt[Math.floor(offset / heap.grain)]! : 0;
  const timeOf = (event: number): number | null => (trace.hasTimes ? trace.time[event]! : null);
  return {
    state:
      here >= 0
        ? "live"
        : back
          ? "given back"
          : heap.freedAt[Math.floor(offset / heap.grain)]
            ? "free"
            : "never used",
    address: slots.space.addressOf(begin),
    offset: begin,
    size: here < 0 ? end - begin : trace.size[heap.last[here]!]!,
    block,
    blockSize: block < 0 ? 0 : trace.size[block]!,
    thread: block < 0 ? "" : trace.threadLabel(trace.thread[trace.born[block]!]!),
    frames: block < 0 ? [] : trace.tables.framesOf(trace.stack[block]!),
    born: block < 0 ? 0 : trace.born[block]! + 1,
    bornTime: block < 0 ? null : timeOf(trace.born[block]!),
    died: died === null ? null : died + 1,
    diedTime: died === null ? null : timeOf(died),
    freedThread: died === null ? null : trace.threadLabel(trace.thread[died]!),
    givenBack: back || null,
    before:
      beforeSlot < 0
        ? null
        : neighbour(heap, beforeSlot, begin - endOf(heap, beforeSlot), partBegin, Infinity, here),
    after:
      afterSlot < slots.count
        ? neighbour(heap, afterSlot, slots.offset[afterSlot]! - end, partBegin, partEnd, here)
        : null,
  };
}

/** The slot from `first` on whose live block covers a place, or -1. */
function liveAt(heap: Heap, first: number, offset: number): number {
  const { slots } = heap;
  let found = -1;
  for (
    let slot = heap.nextLive(first);
    slot < slots.count && slots.offset[slot]! <= offset;
    slot = heap.nextLive(slot + 1)
  ) {
    if (endOf(heap, slot) > offset) found = slot;
  }
  return found;
}

function endOf(heap: Heap, slot: number): number {
  return heap.slots.offset[slot]! + heap.extentOf(slot);
}

/** A neighbour in the same part of the space; `here` is the slot of the live block that it is one of, or -1. */
function neighbour(
  heap: Heap,
  slot: number,
  gap: number,
  begin: number,
  end: number,
  here: number,
): Neighbour | null {
  const offset = heap.slots.offset[slot]!;
  if (offset < begin || offset >= end) return null;
  const [lower, upper] = slot < here ? [slot, here] : [here, slot];
  return {
    offset,
    size: heap.trace.size[heap.last[slot]!]!,
    gap: Math.max(0, gap),
    isBeside: here >= 0 && isBeside(heap.slots, endOf(heap, lower), upper),
  };
}

/** The block that was freed last in the grain of a place, if it was there; or -1. */
function lastBlockAt(heap: Heap, offset: number): number {
  const { slots, trace } = heap;
  const freed = trace.freed[heap.freedAt[Math.floor(offset / heap.grain)]! - 1] ?? NO_BLOCK;
  if (freed < 0) return NO_BLOCK;
  const begin = slots.offset[slots.ofBlock[freed]!]!;
  return begin <= offset && offset < begin + Math.max(1, trace.size[freed]!) ? freed : NO_BLOCK;
}
