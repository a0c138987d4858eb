/** Small gaps between blocks are headers and padding. */
import { expect, test } from "vitest";
import { overheads } from "../src/overhead";

const whole = [{ address: 0x1000, offset: 0, length: 1 << 20 }];

test("gaps that are too small to be of use, in whole cells", () => {
  const blocks = [
    { offset: 0, size: 100 },
    { offset: 120, size: 64 },
    { offset: 184, size: 8 },
    { offset: 192 + 500, size: 8 },
    { offset: 704, size: 16 },
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
    { offset: 4000, size: 80 },
    { offset: 4100, size: 80 },
  ];
  expect(overheads(blocks, parts, 1)).toEqual([]);
  expect(overheads(blocks, whole, 1)).toEqual([{ offset: 4080, size: 20 }]);
});
