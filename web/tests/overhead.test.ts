/** Small gaps between blocks are headers and padding. */
import { expect, test } from "vitest";
import { Heap } from "../src/heap";
import { lookAt } from "../src/look";
import { isBeside, overheads } from "../src/overhead";
import { Slots } from "../src/space";
import { traceOf } from "./made";

const whole = [{ address: 0x1000, offset: 0, length: 1 << 20 }];

test("gaps that are too small to be of use, in whole cells", () => {
  const blocks = [
    { offset: 0, size: 100, isBeside: true },
    { offset: 120, size: 64, isBeside: true },
    { offset: 184, size: 8, isBeside: true },
    { offset: 192 + 500, size: 8, isBeside: true },
    { offset: 704, size: 16, isBeside: true },
  ];
  expect(overheads(blocks, whole, 1)).toEqual([
    { offset: 100, size: 20 },
    { offset: 700, size: 4 },
  ]);
  expect(overheads(blocks, whole, 8)).toEqual([{ offset: 104, size: 16 }]);
});

test("what is in two parts of the space is not side by side", () => {
  const parts = [
    { address: 0x1000, offset: 0, length: 4096 },
    { address: 0x900000, offset: 4096, length: 4096 },
  ];
  const blocks = [
    { offset: 4000, size: 80, isBeside: true },
    { offset: 4100, size: 80, isBeside: true },
  ];
  expect(overheads(blocks, parts, 1)).toEqual([]);
  expect(overheads(blocks, whole, 1)).toEqual([{ offset: 4080, size: 20 }]);
});

test("a place where a block was once is free memory", () => {
  const trace = traceOf([
    { at: 0, size: 24 },
    { at: 32, size: 16 },
    { at: 48, size: 24 },
    { at: 80, size: 16 },
    { frees: 1 },
  ]);
  const heap = new Heap(trace, new Slots(trace));
  heap.seek(5);
  const { slots } = heap;
  expect(isBeside(slots, 24, 2)).toBe(false);
  expect(isBeside(slots, 72, 3)).toBe(true);
  expect(lookAt(heap, 50)).toMatchObject({
    before: { offset: 0, gap: 24, isBeside: false },
    after: { offset: 80, gap: 8, isBeside: true },
  });
});
