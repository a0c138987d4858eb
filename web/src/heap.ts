/**
 * Owns the heap as it was after any number of events: which blocks were live, since when the rest was free, and
 * what had been given back.
 *
 * A frame is kept every so many events; from there the events in between are played again. What it costs to go
 * to a moment depends on the distance between frames, not on that of the moment.
 */
import { MAP, PURGE, UNMAP } from "./operations";
import type { Slots } from "./space";
import type { Trace } from "./trace";

/** In place of an event: the block was not freed. */
export const NEVER = 0xffffffff;

/** In place of an extent: look it up. */
const LARGE = 0xffffffff;

const BYTES_FOR_FRAMES = 384 << 20;
const LEAST_BETWEEN_FRAMES = 1 << 14;
const MOST_GRAINS = 1 << 18;
const LEAST_GRAIN = 16;

interface Frame {
  readonly last: Int32Array;
  readonly extent: Uint32Array;
  readonly live: Uint32Array;
  readonly freedAt: Uint32Array;
  readonly backAt: Uint32Array;
  readonly liveBytes: number;
  readonly liveBlocks: number;
  readonly nextOther: number;
}

/** Told of each block that begins and ends, and of memory given back, when the events are played first. */
export interface Watcher {
  begin(block: number): void;
  end(block: number): void;
  /** From one place in the space to another. */
  giveBack(begin: number, end: number): void;
  after(event: number): void;
}

export class Heap {
  /** The event that freed each block, or NEVER. */
  readonly died: Uint32Array;
  /** Bytes of a grain: what is free is known for each grain, a power of two. */
  readonly grain: number;
  readonly grains: number;
  /** The trace says what was given back, and where. */
  readonly tellsGivenBack: boolean;

  /** How many events have happened. */
  now = 0;
  liveBytes = 0;
  liveBlocks = 0;
  /** The block that was given last in each slot, or -1. */
  readonly last: Int32Array;
  /** The bytes of that block, or LARGE; beside the slots, because to look them up by block is slow. */
  readonly extent: Uint32Array;
  /** A bit for each slot: it holds a live block. */
  readonly live: Uint32Array;
  /** Of each grain: 1 + the last event that freed a block there, or 0. */
  readonly freedAt: Uint32Array;
  /** Of each grain: 1 + the event since which it is given back, or 0 if it is not. */
  readonly backAt: Uint32Array;

  private nextOther = 0;
  private readonly between: number;
  private readonly frames: Frame[] = [];

  constructor(
    readonly trace: Trace,
    readonly slots: Slots,
    watcher?: Watcher,
    progress: (done: number) => void = () => undefined,
    leastBetweenFrames = LEAST_BETWEEN_FRAMES,
  ) {
    this.died = new Uint32Array(trace.blocks).fill(NEVER);
    this.grain = grainFor(this.slots.space.size);
    this.grains = Math.ceil(this.slots.space.size / this.grain);
    this.tellsGivenBack =
      trace.hasAddresses && trace.others.some(({ operation }) => operation === PURGE || operation === UNMAP);
    this.last = new Int32Array(this.slots.count).fill(-1);
    this.extent = new Uint32Array(this.slots.count);
    this.live = new Uint32Array((this.slots.count + 31) >>> 5);
    this.freedAt = new Uint32Array(this.grains);
    this.backAt = new Uint32Array(this.tellsGivenBack ? this.grains : 0);
    this.between = this.distanceBetweenFrames(leastBetweenFrames);
    this.playAll(watcher, progress);
  }

  /** Go to the moment after so many events. */
  seek(now: number): void {
    const frame = Math.floor(now / this.between);
    if (now < this.now || frame * this.between > this.now) this.restore(frame);
    while (this.now < now) this.apply(this.now++);
  }

  isLive(slot: number): boolean {
    return ((this.live[slot >>> 5]! >>> (slot & 31)) & 1) !== 0;
  }

  /** The first live slot from `slot` on, or the number of slots. */
  nextLive(slot: number): number {
    if (slot >= this.slots.count) return this.slots.count;
    let word = slot >>> 5;
    let bits = this.live[word]! & (-1 << (slot & 31));
    while (!bits) {
      if (++word >= this.live.length) return this.slots.count;
      bits = this.live[word]!;
    }
    return (word << 5) + 31 - Math.clz32(bits & -bits);
  }

  /** The last live slot up to `slot`, or -1. */
  previousLive(slot: number): number {
    if (slot < 0) return -1;
    let word = slot >>> 5;
    let bits = this.live[word]! & (-1 >>> (31 - (slot & 31)));
    while (!bits) {
      if (--word < 0) return -1;
      bits = this.live[word]!;
    }
    return (word << 5) + 31 - Math.clz32(bits);
  }

  /** How many bytes the block takes that is or was in a slot: a block of 0 bytes takes one, too. */
  extentOf(slot: number): number {
    const extent = this.extent[slot]!;
    return extent === LARGE ? this.trace.size[this.last[slot]!]! : extent;
  }

  /** Call `visit` with each live block and its place. */
  eachLive(visit: (block: number, offset: number) => void): void {
    const { last } = this;
    const { offset, count } = this.slots;
    for (let slot = this.nextLive(0); slot < count; slot = this.nextLive(slot + 1))
      visit(last[slot]!, offset[slot]!);
  }

  private distanceBetweenFrames(least: number): number {
    const bytes = 4 * (2 * this.last.length + this.live.length + this.freedAt.length + this.backAt.length);
    const frames = Math.max(1, Math.floor(BYTES_FOR_FRAMES / Math.max(1, bytes)));
    return Math.max(least, Math.ceil(this.trace.events / frames));
  }

  private playAll(watcher: Watcher | undefined, progress: (done: number) => void): void {
    const { events } = this.trace;
    for (;;) {
      this.keepFrame();
      const until = Math.min(events, this.now + this.between);
      while (this.now < until) {
        this.apply(this.now, watcher);
        watcher?.after(this.now);
        this.now++;
      }
      progress(this.now);
      if (this.now === events) return;
    }
  }

  private keepFrame(): void {
    const { liveBytes, liveBlocks, nextOther } = this;
    this.frames.push({
      last: this.last.slice(),
      extent: this.extent.slice(),
      live: this.live.slice(),
      freedAt: this.freedAt.slice(),
      backAt: this.backAt.slice(),
      liveBytes,
      liveBlocks,
      nextOther,
    });
  }

  private restore(number: number): void {
    const at = Math.min(number, this.frames.length - 1);
    const frame = this.frames[at]!;
    this.last.set(frame.last);
    this.extent.set(frame.extent);
    this.live.set(frame.live);
    this.freedAt.set(frame.freedAt);
    this.backAt.set(frame.backAt);
    this.liveBytes = frame.liveBytes;
    this.liveBlocks = frame.liveBlocks;
    this.nextOther = frame.nextOther;
    this.now = at * this.between;
  }

  private apply(event: number, watcher?: Watcher): void {
    const { trace } = this;
    const freed = trace.freed[event]!;
    if (freed >= 0 && (this.died[freed] === NEVER || this.died[freed] === event))
      this.end(freed, event, watcher);
    const block = trace.given[event]!;
    if (block >= 0) this.begin(block, event, watcher);
    else if (trace.others[this.nextOther]?.event === event) this.happen(event, watcher);
  }

  private begin(block: number, event: number, watcher?: Watcher): void {
    const slot = this.slots.ofBlock[block]!;
    if (this.isLive(slot)) this.end(this.last[slot]!, event, watcher); // its free is missing in the trace
    this.last[slot] = block;
    this.extent[slot] = Math.min(LARGE, Math.max(1, this.trace.size[block]!));
    this.live[slot >>> 5]! |= 1 << (slot & 31);
    this.liveBytes += this.trace.size[block]!;
    this.liveBlocks++;
    if (this.tellsGivenBack) this.mark(this.backAt, slot, 0);
    watcher?.begin(block);
  }

  private end(block: number, event: number, watcher?: Watcher): void {
    const slot = this.slots.ofBlock[block]!;
    this.died[block] = event;
    this.live[slot >>> 5]! &= ~(1 << (slot & 31));
    this.liveBytes -= this.trace.size[block]!;
    this.liveBlocks--;
    if (this.grains) this.mark(this.freedAt, slot, event + 1);
    watcher?.end(block);
  }

  /** Set the grains of the block in a slot. */
  private mark(grains: Uint32Array, slot: number, value: number): void {
    const begin = this.slots.offset[slot]!;
    const first = (begin / this.grain) | 0; // there are at most MOST_GRAINS
    const last = ((begin + this.extentOf(slot) - 1) / this.grain) | 0;
    if (first === last) grains[first] = value;
    else grains.fill(value, first, last + 1);
  }

  /** What is given back is whole grains; a mapping that is made is not given back. */
  private happen(event: number, watcher?: Watcher): void {
    const other = this.trace.others[this.nextOther++]!;
    const { operation, address, size } = other;
    if (!this.tellsGivenBack || (operation !== PURGE && operation !== UNMAP && operation !== MAP)) return;
    for (const [begin, end] of this.slots.space.rangesOf(address, address + size)) {
      const [first, last] = [Math.ceil(begin / this.grain), Math.floor(end / this.grain)];
      if (first < last) this.backAt.fill(operation === MAP ? 0 : event + 1, first, last);
      if (operation !== MAP) watcher?.giveBack(begin, end);
    }
  }
}

function grainFor(size: number): number {
  let grain = LEAST_GRAIN;
  while (size / grain > MOST_GRAINS) grain *= 2;
  return grain;
}
