/** Owns the histograms: sizes of live blocks, and of the gaps between them, by powers of two. */
import type { Heap } from "./heap";

/** A block or a gap counted in the class of its size: a power of two and what is below the next one. */
export interface SizeClass {
  readonly least: number;
  readonly count: number;
  readonly bytes: number;
}

/** The blocks of the heap as it is, and the gaps between them. */
export function histograms(heap: Heap): { blocks: SizeClass[]; gaps: SizeClass[] } {
  const blocks = new Counts();
  const gaps = new Counts();
  const { trace, slots } = heap;
  let [partEnd, end] = [0, 0];
  heap.eachLive((block, offset) => {
    const size = trace.size[block]!;
    blocks.add(size);
    if (offset >= partEnd) {
      const part = slots.space.partAt(offset);
      partEnd = part ? part.offset + part.length : Infinity;
      end = offset;
    }
    if (offset > end) gaps.add(offset - end);
    end = Math.max(end, offset + size);
  });
  return { blocks: blocks.classes(), gaps: gaps.classes() };
}

/** How many sizes there are below 1, from 1 on, from 2 on, from 4 on, ... */
class Counts {
  private readonly count = new Float64Array(66);
  private readonly bytes = new Float64Array(66);

  add(size: number): void {
    const at = size < 2 ** 32 ? 32 - Math.clz32(size) : 1 + Math.floor(Math.log2(size));
    this.count[at]!++;
    this.bytes[at]! += size;
  }

  classes(): SizeClass[] {
    const all = Array.from(this.count, (count, at) => ({
      least: at ? 2 ** (at - 1) : 0,
      count,
      bytes: this.bytes[at]!,
    }));
    return all.filter(({ count }) => count);
  }
}
