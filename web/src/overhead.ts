/**
 * Owns what lies between blocks that stand close together: headers of the allocator, and the padding of blocks.
 *
 * A trace has where payloads begin and how many bytes were asked for, not what the allocator put in between. It
 * is taken for that if it is small, and no block ever began in it.
 */
import type { Outline } from "./protocol";
import { lastAtMost } from "./space";
import type { Part, Slots } from "./space";

/** A header of 8 bytes, and padding to a multiple of 16. In a larger gap there is room for a block. */
export const MOST_OVERHEAD = 8 + 15;
/** In larger cells such gaps are not told apart from the blocks beside them. */
export const FINEST = 8;

/** Whether a gap between two blocks is one; `isBeside` if no block ever began in it. */
export function isOverhead(gap: number, isBeside: boolean): boolean {
  return isBeside && gap > 0 && gap <= MOST_OVERHEAD;
}

/** Whether no block ever began between the end of a live block and the next live one, which has a slot. */
export function isBeside(slots: Slots, end: number, next: number): boolean {
  return next < slots.count && lastAtMost(slots.count, (at) => slots.offset[at]!, end - 1) + 1 === next;
}

/** Those between live blocks in the order of their places, in whole cells of so many bytes. */
export function overheads(
  outlines: readonly Outline[],
  parts: readonly Part[],
  cell: number,
): { offset: number; size: number }[] {
  const found: { offset: number; size: number }[] = [];
  for (const [at, { offset, size, isBeside }] of outlines.entries()) {
    const next = outlines[at + 1];
    const end = offset + size;
    if (!next || !isOverhead(next.offset - end, isBeside)) continue;
    if (parts.some((part) => part.offset >= end && part.offset <= next.offset)) continue;
    const first = Math.ceil(end / cell) * cell;
    const last = Math.floor(next.offset / cell) * cell;
    if (first < last) found.push({ offset: first, size: last - first });
  }
  return found;
}
