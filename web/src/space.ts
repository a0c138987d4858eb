/**
 * Owns the addresses of a trace: the slots, which are the addresses where blocks begin in order, and the space,
 * which is all memory that blocks ever covered, without the gaps where there never was any.
 */
import { systemPage } from "./pages";
import type { Trace } from "./trace";

/** A gap of more bytes is left out, if it is more than two pages. */
const LARGEST_GAP = 1 << 16;

/** A run of addresses with blocks in it. */
export interface Part {
  readonly address: number;
  /** Where it begins in the space. */
  readonly offset: number;
  readonly length: number;
}

export class Space {
  constructor(readonly parts: readonly Part[]) {}

  get size(): number {
    const last = this.parts[this.parts.length - 1];
    return last ? last.offset + last.length : 0;
  }

  /** The part at a place in the space. */
  partAt(offset: number): Part | undefined {
    return this.parts[lastAtMost(this.parts.length, (at) => this.parts[at]!.offset, offset)];
  }

  addressOf(offset: number): number {
    const part = this.partAt(offset);
    return part ? part.address + offset - part.offset : 0;
  }

  /** Where the addresses from `begin` to `end` are in the space, as pairs of begin and end. */
  rangesOf(begin: number, end: number): [number, number][] {
    const found: [number, number][] = [];
    let at = Math.max(
      0,
      lastAtMost(this.parts.length, (part) => this.parts[part]!.address, begin),
    );
    for (; at < this.parts.length && this.parts[at]!.address < end; at++) {
      const { address, offset, length } = this.parts[at]!;
      const from = Math.max(begin, address);
      const to = Math.min(end, address + length);
      if (from < to) found.push([offset + from - address, offset + to - address]);
    }
    return found;
  }
}

/** The last of `count` ascending values that is at most `value`; -1 if none is. */
export function lastAtMost(count: number, valueAt: (at: number) => number, value: number): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (valueAt(middle) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Where blocks begin. Without addresses each block gets a slot that no other live one has. */
export class Slots {
  readonly count: number;
  readonly ofBlock: Int32Array;
  /** The place of each slot in the space, in ascending order; 0 if there are no addresses. */
  readonly offset: Float64Array;
  readonly space: Space;

  constructor(trace: Trace) {
    this.ofBlock = new Int32Array(trace.blocks);
    if (!trace.hasAddresses) {
      this.count = fillFreeSlots(trace, this.ofBlock);
      this.offset = new Float64Array(this.count);
      this.space = new Space([]);
      return;
    }
    const addresses = numberAddresses(trace, this.ofBlock);
    this.count = addresses.length;
    const order = sortedOrder(addresses, this.ofBlock);
    const largest = new Float64Array(this.count);
    for (let block = 0; block < trace.blocks; block++) {
      const slot = this.ofBlock[block]!;
      if (trace.size[block]! > largest[slot]!) largest[slot] = trace.size[block]!;
    }
    this.space = spaceOf(order, largest, systemPage(trace.header.pageSize));
    this.offset = offsetsOf(order, this.space);
  }
}

/** A slot that is free, for each block; returns how many slots there are. */
function fillFreeSlots(trace: Trace, slotOf: Int32Array): number {
  const free: number[] = [];
  const isFreed = new Uint8Array(trace.blocks);
  let count = 0;
  for (let event = 0; event < trace.events; event++) {
    const freed = trace.freed[event]!;
    if (freed >= 0 && !isFreed[freed]) {
      isFreed[freed] = 1;
      free.push(slotOf[freed]!);
    }
    const block = trace.given[event]!;
    if (block >= 0) slotOf[block] = free.pop() ?? count++;
  }
  return count;
}

/** Numbers the different addresses as they come; returns them by number. */
function numberAddresses(trace: Trace, numberOf: Int32Array): Float64Array {
  let capacity = 1 << 12;
  let table = new Int32Array(capacity).fill(-1);
  let addresses = new Float64Array(capacity / 2);
  let count = 0;
  for (let block = 0; block < trace.blocks; block++) {
    const address = trace.address[block]!;
    let place = placeOf(address, capacity);
    let number = table[place]!;
    while (number >= 0 && addresses[number] !== address) {
      place = (place + 1) & (capacity - 1);
      number = table[place]!;
    }
    if (number < 0) {
      number = table[place] = count;
      addresses[count++] = address;
      if (count === capacity / 2) {
        capacity *= 4;
        const more = new Float64Array(capacity / 2);
        more.set(addresses);
        addresses = more;
        table = tableOf(addresses, count, capacity);
      }
    }
    numberOf[block] = number;
  }
  return addresses.slice(0, count);
}

function tableOf(addresses: Float64Array, count: number, capacity: number): Int32Array<ArrayBuffer> {
  const table = new Int32Array(capacity).fill(-1);
  for (let number = 0; number < count; number++) {
    let place = placeOf(addresses[number]!, capacity);
    while (table[place]! >= 0) place = (place + 1) & (capacity - 1);
    table[place] = number;
  }
  return table;
}

/** Where to look for an address first; `capacity` is a power of two. */
function placeOf(address: number, capacity: number): number {
  const mixed = Math.imul((address / 16) | 0, 0x9e3779b1) ^ Math.imul((address / 0x100000000) | 0, 0x85ebca6b);
  return (mixed ^ (mixed >>> 15)) & (capacity - 1);
}

/** The addresses in ascending order; their numbers in `numberOf` become places in that order. */
function sortedOrder(addresses: Float64Array, numberOf: Int32Array): Float64Array {
  const sorted = addresses.slice().sort();
  const table = tableOf(addresses, addresses.length, capacityFor(addresses.length));
  const placeInOrder = new Int32Array(addresses.length);
  for (let place = 0; place < sorted.length; place++) {
    let at = placeOf(sorted[place]!, table.length);
    while (addresses[table[at]!] !== sorted[place]) at = (at + 1) & (table.length - 1);
    placeInOrder[table[at]!] = place;
  }
  for (let block = 0; block < numberOf.length; block++) numberOf[block] = placeInOrder[numberOf[block]!]!;
  return sorted;
}

function capacityFor(count: number): number {
  let capacity = 1 << 12;
  while (capacity < count * 2) capacity *= 2;
  return capacity;
}

/** The space; its parts begin and end with pages, of which no two have the same one. */
function spaceOf(addresses: Float64Array, largest: Float64Array, page: number): Space {
  const largestGap = Math.max(LARGEST_GAP, 2 * page);
  const parts: Part[] = [];
  let [begin, end, offset] = [0, -Infinity, 0];
  const close = () => {
    if (end === -Infinity) return;
    const length = Math.ceil(end / page) * page - begin;
    parts.push({ address: begin, offset, length });
    offset += length;
  };
  for (let slot = 0; slot < addresses.length; slot++) {
    const address = addresses[slot]!;
    if (address > end + largestGap) {
      close();
      begin = Math.floor(address / page) * page;
    }
    end = Math.max(end, address + Math.max(1, largest[slot]!));
  }
  close();
  return new Space(parts);
}

function offsetsOf(addresses: Float64Array, space: Space): Float64Array {
  const offsets = new Float64Array(addresses.length);
  let at = 0;
  for (let slot = 0; slot < addresses.length; slot++) {
    const address = addresses[slot]!;
    let part = space.parts[at]!;
    while (address >= part.address + part.length) part = space.parts[++at]!;
    offsets[slot] = address - part.address + part.offset;
  }
  return offsets;
}
