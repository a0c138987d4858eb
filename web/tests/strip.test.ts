/** The strip of the demo: pieces to scale, and where addresses are on it. */
import { expect, test } from "vitest";
import type { Block } from "../src/demo/session";
import { CUT, LONGEST, Strip, stretchesOf } from "../src/demo/strip";

const HEADER = 32;

function block(at: number, size: number, asked: number | null = null): Block {
  return { at, size, asked, status: "live", kept: "", bin: null, isTop: false, name: "", fields: [] };
}

test("header, payload and padding, one behind the other", () => {
  const strip = new Strip([block(32, 104, 100), block(168, 24)], HEADER);
  expect(strip.pieces.map(({ part, from, to }) => [part, from, to])).toEqual([
    ["header", 0, 32],
    ["payload", 32, 132],
    ["padding", 132, 136],
    ["header", 136, 168],
    ["payload", 168, 192],
  ]);
  expect(strip.length).toBe(192);
  expect([0, 32, 100, 136, 168, 192].map((address) => strip.placeOf(address))).toEqual([
    0, 32, 100, 136, 168, 192,
  ]);
  expect(strip.placeOf(200)).toBeNull();
});

test("a long payload is cut: its beginning and its end are drawn", () => {
  const size = 100_000;
  const strip = new Strip([block(32, size), block(64 + size, LONGEST)], HEADER);
  expect(strip.pieces.map(({ isCut }) => isCut)).toEqual([false, true, false, false]);
  expect(strip.length).toBe(HEADER + CUT + HEADER + LONGEST);
  expect(strip.placeOf(32 + 10)).toBe(32 + 10);
  expect(strip.placeOf(32 + 50_000)).toBe(32 + CUT / 2);
  expect(strip.placeOf(32 + size - 10)).toBe(32 + CUT - 10);
  expect(strip.placeOf(32 + size)).toBe(32 + CUT);
});

test("blocks that are far apart, as mappings are, stand side by side", () => {
  const strip = new Strip([block(0x900000, 64), block(0x500000, 40)], HEADER);
  expect(strip.placeOf(0x900000)).toBe(32);
  expect(strip.placeOf(0x500000 - HEADER)).toBe(96);
});

test("a part of the strip is on one row or on several", () => {
  expect(stretchesOf(10, 60, 100)).toEqual([{ row: 0, left: 10, width: 50, isFirst: true, isLast: true }]);
  expect(stretchesOf(90, 210, 100)).toEqual([
    { row: 0, left: 90, width: 10, isFirst: true, isLast: false },
    { row: 1, left: 0, width: 100, isFirst: false, isLast: false },
    { row: 2, left: 0, width: 10, isFirst: false, isLast: true },
  ]);
  expect(stretchesOf(100, 200, 100)).toEqual([{ row: 1, left: 0, width: 100, isFirst: true, isLast: true }]);
});
