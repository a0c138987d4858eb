/**
 * Owns what lies between blocks that stand close together: headers of the allocator, and the padding of blocks.
 *
 * A trace has where payloads begin and how many bytes were asked for, not what the allocator put in between. A
 * gap that is too small to be of use to a program is taken for that.
 */
import type { Outline } from "./protocol";
import type { Part } from "./space";

/** A larger gap is free memory. */
export const MOST_OVERHEAD = 48;
/** In larger cells such gaps are not told apart from the blocks beside them. */
export const FINEST = 8;

/** Whether a gap between two blocks is too small to be of use. */
export function isOverhead(gap: number): boolean {
  return gap > 0 && gap <= MOST_OVERHEAD;
}

/** The small gaps between live blocks in the order of their places, in whole cells of so many bytes. */
export function overheads(outlines: readonly Outline[], parts: readonly Part[], cell: number): Outline[] {
  const found: Outline[] = [];
  for (const [at, { offset, size }] of outlines.entries()) {
    const next = outlines[at + 1];
    const end = offset + size;
    if (!next || !isOverhead(next.offset - end)) continue;
    if (parts.some((part) => part.offset >= end && part.offset <= next.offset)) continue;
    const first = Math.ceil(end / cell) * cell;
    const last = Math.floor(next.offset / cell) * cell;
    if (first < last) found.push({ offset: first, size: last - first });
  }
  return found;
}
