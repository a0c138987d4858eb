/** Each pixel says what the bytes of its cell are. */
import { describe, expect, test } from "vitest";
import { Heap } from "../src/heap";
import { siteKinds, stackKinds, threadKinds } from "../src/kinds";
import { Painter } from "../src/painter";
import { blend, Palette, shareOfAge, shareOfSize, stepOf } from "../src/palette";
import type { Colouring } from "../src/palette";
import { Slots } from "../src/space";
import { Bytes, randomCalls, traceOf } from "./made";

const UNITS = 4096;
const palette = new Palette("light");

function painterOf(seed: number) {
  const calls = randomCalls(400, UNITS, seed);
  const trace = traceOf(calls);
  const heap = new Heap(trace, new Slots(trace), undefined, undefined, 32);
  const { siteOf, kinds } = siteKinds(trace);
  const threads = threadKinds(trace);
  return { calls, trace, heap, threads, painter: new Painter(heap, threads, kinds, siteOf, stackKinds(trace)) };
}

/** The block with most bytes of a cell and how much is live, counted byte by byte. */
function ownerOf(bytes: Bytes, begin: number, end: number): { owner: number; live: number } {
  const counts = new Map<number, number>();
  for (const block of bytes.owner.slice(begin, end))
    if (block >= 0) counts.set(block, (counts.get(block) ?? 0) + 1);
  let [owner, most, live] = [-1, 0, 0];
  for (const [block, count] of counts) {
    live += count;
    if (count > most) [owner, most] = [block, count];
  }
  return { owner, live };
}

describe.each([16, 48, 112, 1024])("cells of %i bytes", (cell) => {
  test.each(["size", "age", "thread"] as Colouring[])("by %s", (colouring) => {
    const { calls, trace, heap, threads, painter } = painterOf(cell);
    for (const [now, start] of [
      [400, 0],
      [37, 0],
      [211, 5 * cell],
    ] as const) {
      heap.seek(now);
      const view = { start, cell, columns: 16, rows: 20, edge: 3 };
      const pixels = painter.paint(view, colouring, palette);
      const bytes = new Bytes(calls, now, UNITS * 16 + 4096 + view.columns * view.rows * cell);
      const base = heap.slots.space.addressOf(0) - 0x7f0000000000;
      for (let at = 0; at < pixels.length; at++) {
        const place = start + at * cell;
        if (place >= heap.slots.space.size) {
          expect(pixels[at]).toBe(palette.outside);
          continue;
        }
        const { owner, live } = ownerOf(bytes, base + place, base + place + cell);
        const shown = pixels[at]!;
        if (owner < 0) {
          const isFree = palette.freed.includes(shown);
          expect(isFree || shown === palette.never || shown === palette.back).toBe(true);
          continue;
        }
        const block = bytes.blocks[owner]!;
        const colour = {
          size: palette.ramp[stepOf(shareOfSize(block.size))]!,
          age: palette.ramp[stepOf(shareOfAge(now - 1 - block.born, trace.events))]!,
          thread: palette.kinds[threads.of[trace.threadNumbers.indexOf(block.thread)]!]!,
          site: 0,
          stack: 0,
        }[colouring];
        if (live === cell) expect(shown).toBe(colour);
        else
          expect(
            [...palette.freed, palette.never, palette.back].map((under) => blend(under, colour, live / cell)),
          ).toContain(shown);
      }
    }
  });
});

test("free memory pales with time, and is told from memory that never was a block's", () => {
  const trace = traceOf([
    { at: 0, size: 64 },
    { at: 64, size: 64 },
    { frees: 0 },
    { frees: 1 },
    { at: 4096, size: 1 },
  ]);
  const heap = new Heap(trace, new Slots(trace));
  const kinds = siteKinds(trace);
  const painter = new Painter(heap, threadKinds(trace), kinds.kinds, kinds.siteOf, stackKinds(trace));
  heap.seek(4);
  const [first, second, third] = painter.paint(
    { start: 0, cell: 64, columns: 3, rows: 1, edge: 3 },
    "size",
    palette,
  );
  expect(second).toBe(palette.freed[0]);
  expect(palette.freed.indexOf(first!)).toBeGreaterThan(0);
  expect(third).toBe(palette.never);
});

test("blocks of stacks that are not shown have one colour, and do not cover those that are", () => {
  const trace = traceOf([
    { at: 0, size: 48 },
    { at: 48, size: 16 },
    { at: 64, size: 64 },
  ]);
  trace.tables.callers.push(0);
  trace.tables.frameOf.push(0);
  trace.stack.set([0, 1, 0]);
  const heap = new Heap(trace, new Slots(trace));
  const { kinds, siteOf } = siteKinds(trace);
  const painter = new Painter(heap, threadKinds(trace), kinds, siteOf, stackKinds(trace));
  heap.seek(3);
  const view = { start: 0, cell: 64, columns: 2, rows: 1, edge: 3 };
  const [shared, other] = painter.paint(view, "size", palette, Uint8Array.of(0, 1));
  expect(other).toBe(palette.aside);
  const under = blend(palette.never, palette.aside, 48 / 64);
  expect(shared).toBe(blend(under, palette.ramp[stepOf(shareOfSize(16))]!, 16 / 64));
});
