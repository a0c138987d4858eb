/** The heap at any moment is what playing the calls byte by byte gives. */
import { describe, expect, test } from "vitest";
import { Accounts } from "../src/curves";
import { Heap, NEVER } from "../src/heap";
import { Slots } from "../src/space";
import { Bytes, randomCalls, randomNumbers, traceOf } from "./made";
import type { Call } from "./made";

const UNITS = 4096;

function heapOf(calls: readonly Call[], between = 16, flags = 2): { heap: Heap; accounts: Accounts } {
  const trace = traceOf(calls, flags);
  const slots = new Slots(trace);
  const accounts = new Accounts(trace, slots);
  return { heap: new Heap(trace, slots, accounts, undefined, between), accounts };
}

function liveOf(heap: Heap): number[] {
  const found: number[] = [];
  heap.eachLive((block) => found.push(block));
  return found.sort((one, other) => one - other);
}

describe.each([1, 2, 3])("random calls %i", (seed) => {
  const calls = randomCalls(700, UNITS, seed);
  const { heap, accounts } = heapOf(calls);
  const random = randomNumbers(seed + 100);
  const moments = [0, calls.length, 1, ...Array.from({ length: 60 }, () => random(calls.length + 1))];

  test("going to any moment, in any order", () => {
    for (const now of moments) {
      heap.seek(now);
      const bytes = new Bytes(calls, now, UNITS * 16);
      expect(heap.now).toBe(now);
      expect(liveOf(heap)).toEqual([...bytes.live].sort((one, other) => one - other));
      expect(heap.liveBytes).toBe(bytes.liveBytes);
      expect(heap.liveBlocks).toBe(bytes.live.size);
    }
  });

  test("each grain knows since when it is free", () => {
    const { space } = heap.slots;
    for (const now of moments) {
      heap.seek(now);
      const bytes = new Bytes(calls, now, UNITS * 16);
      const base = space.addressOf(0) - 0x7f0000000000;
      const expected = Uint32Array.from({ length: heap.grains }, (_, grain) => {
        const at = base + grain * heap.grain;
        return Math.max(...bytes.freedAt.slice(at, at + heap.grain), 0);
      });
      expect(heap.freedAt).toEqual(expected);
    }
  });

  test("the curves", () => {
    const curves = accounts.between(0, calls.length, calls.length + 1);
    for (let now = 0; now <= calls.length; now += 7) {
      const bytes = new Bytes(calls, now, UNITS * 16);
      const occupied = new Set<number>();
      for (const [at, owner] of bytes.owner.entries()) if (owner >= 0) occupied.add(at >>> 12);
      expect([curves.at[now], curves.live[now]]).toEqual([now, bytes.liveBytes]);
      expect(curves.occupied[now]).toBe(occupied.size * 4096);
    }
    const peak = Math.max(...curves.live);
    expect(accounts.peak).toEqual({ bytes: peak, now: curves.live.indexOf(peak) });
  });
});

test("pages count as used until they are given back, and again when they are used again", () => {
  const { accounts } = heapOf([
    { at: 0, size: 3 * 4096 },
    { frees: 0 },
    { back: [4096, 3 * 4096] },
    { at: 4096, size: 10 },
  ]);
  expect([...accounts.between(0, 4, 5).touched]).toEqual([0, 3, 3, 1, 2].map((pages) => pages * 4096));
});

test("what is taken from the system, if the trace tells", () => {
  const { accounts } = heapOf([{ grows: 8192 }, { at: 0, size: 10 }, { grows: 4096 }]);
  expect([...accounts.between(0, 3, 4).taken]).toEqual([0, 8192, 8192, 12288]);
  expect(accounts.tellsTaken).toBe(true);
  expect(heapOf([{ at: 0, size: 10 }]).accounts.tellsTaken).toBe(false);
});

test("what is given back is so until a block is there again", () => {
  const { heap } = heapOf([
    { at: 0, size: 8192 },
    { frees: 0 },
    { back: [4096, 8192] },
    { at: 4096, size: 16 },
    { frees: 1 },
  ]);
  const grainAt = (offset: number) => heap.backAt[offset / heap.grain];
  heap.seek(3);
  expect([grainAt(0), grainAt(4096), grainAt(8192 - heap.grain)]).toEqual([0, 3, 3]);
  heap.seek(5);
  expect([grainAt(4096), grainAt(4096 + heap.grain)]).toEqual([0, 3]);
});

test("a block whose free is missing ends when its address is given again", () => {
  const { heap } = heapOf([{ at: 64, size: 10 }, { at: 64, size: 20 }, { frees: 0 }, { frees: 1 }]);
  expect([...heap.died]).toEqual([1, 3]);
  const bytes = [1, 2, 3, 4].map((now) => (heap.seek(now), heap.liveBytes));
  expect(bytes).toEqual([10, 20, 20, 0]);
});

test("without addresses live bytes are known, and there is no map", () => {
  const { heap, accounts } = heapOf(
    [{ at: 0, size: 10 }, { at: 32, size: 20 }, { frees: 0 }, { at: 64, size: 5 }],
    16,
    0,
  );
  expect(heap.slots.space.size).toBe(0);
  expect(heap.slots.count).toBe(2);
  expect([...accounts.between(0, 4, 5).live]).toEqual([0, 10, 30, 20, 25]);
  heap.seek(2);
  expect(liveOf(heap)).toEqual([0, 1]);
});

test("an empty trace", () => {
  const { heap, accounts } = heapOf([]);
  heap.seek(0);
  expect([heap.liveBytes, heap.slots.space.size]).toEqual([0, 0]);
  expect([...accounts.between(0, 0, 100).live]).toEqual([0]);
});

test("a block that is not freed never dies", () => {
  expect([...heapOf([{ at: 0, size: 1 }]).heap.died]).toEqual([NEVER]);
});

test("gaps of more than 64 KiB are left out of the space", () => {
  const { heap } = heapOf([
    { at: 100, size: 50 },
    { at: 1 << 30, size: 10_000 },
    { at: 60_000, size: 1 },
  ]);
  expect(
    heap.slots.space.parts.map(({ address, offset, length }) => [address - 0x7f0000000000, offset, length]),
  ).toEqual([
    [0, 0, 61440],
    [1 << 30, 61440, 12288],
  ]);
  expect(heap.slots.space.addressOf(61440 + 5)).toBe(0x7f0000000000 + (1 << 30) + 5);
});
