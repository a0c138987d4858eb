/** Owns the histograms: sizes of live blocks, and of the gaps between them, by powers of two. */
import type { Heap } from "./heap";

/** A block or a gap counted in the class of its size: a power of two and what is below the next one. */
export interface SizeClass {
  readonly least: number;
  count: number;
  bytes: number;
}

/** The blocks and the gaps of the heap as it is. */
export function histograms(heap: Heap): { blocks: SizeClass[]; gaps: SizeClass[] } {
  const blocks = new Map<number, SizeClass>();
  const gaps = new Map<number, SizeClass>();
  const { trace, slots } = heap;
  let part = slots.space.partAt(0);
  let end = 0;
  heap.eachLive((block, offset) => {
    const size = trace.size[block]!;
    count(blocks, size);
    if (!part) return;
    if (offset >= part.offset + part.length) {
      part = slots.space.partAt(offset)!;
      end = part.offset;
    }
    if (offset > end) count(gaps, offset - end);
    end = Math.max(end, offset + size);
  });
  return { blocks: inOrder(blocks), gaps: inOrder(gaps) };
}

function count(classes: Map<number, SizeClass>, size: number): void {
  const least = size < 1 ? 0 : 2 ** Math.floor(Math.log2(size));
  const found = classes.get(least) ?? { least, count: 0, bytes: 0 };
  found.count++;
  found.bytes += size;
  classes.set(least, found);
}

function inOrder(classes: Map<number, SizeClass>): SizeClass[] {
  return [...classes.values()].sort((one, other) => one.least - other.least);
}
