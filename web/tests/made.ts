/** Traces for the tests, made of events without a file, and the heap of one kept in the simplest way. */
import { ADDRESSES } from "../src/format";
import { GROWTH, PURGE } from "../src/operations";
import { NO_BLOCK, Trace } from "../src/trace";

const BASE = 0x7f0000000000;

export interface Call {
  /** Where the block is that begins, in bytes from the beginning of the heap. */
  readonly at?: number;
  readonly size?: number;
  /** The number of the block that ends. */
  readonly frees?: number;
  readonly thread?: number;
  /** Bytes by which the heap grows. */
  readonly grows?: number;
  /** From where to where is given back. */
  readonly back?: readonly [number, number];
}

export function traceOf(calls: readonly Call[], flags = ADDRESSES): Trace {
  const header = { flags, ticksPerSecond: 0, start: 0n, meanGap: 0, pid: 1, pageSize: 0, size: 64 };
  const trace = new Trace(header, calls.length);
  trace.expect(calls.length);
  for (const [event, { at, size = 0, frees, thread = 0, back, grows }] of calls.entries()) {
    trace.events++;
    trace.operation[event] = back ? PURGE : grows ? GROWTH : at === undefined ? 5 : frees === undefined ? 1 : 3;
    if (!trace.threadNumbers.includes(thread)) trace.threadNumbers.push(thread);
    trace.thread[event] = trace.threadNumbers.indexOf(thread);
    trace.freed[event] = frees ?? NO_BLOCK;
    trace.given[event] = at === undefined ? NO_BLOCK : trace.blocks;
    if (at !== undefined) {
      trace.size[trace.blocks] = size;
      trace.address[trace.blocks] = BASE + at;
      trace.born[trace.blocks++] = event;
    }
    if (grows) trace.others.push({ event, operation: GROWTH, address: BASE, size: grows, number: 0 });
    if (back) {
      const [begin, end] = back;
      trace.others.push({ event, operation: PURGE, address: BASE + begin, size: end - begin, number: 0 });
    }
  }
  return trace;
}

/** Numbers that look random and are the same in each run. */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const UNIT = 16;

/** Calls of a heap of so many units of 16 bytes: blocks of any size and order, and pages given back. */
export function randomCalls(count: number, units: number, seed: number): Call[] {
  const random = randomNumbers(seed);
  const owner = new Int32Array(units).fill(NO_BLOCK);
  const live = new Map<number, { at: number; length: number }>();
  const calls: Call[] = [];
  let blocks = 0;
  const release = (block: number): void => {
    const { at, length } = live.get(block)!;
    owner.fill(NO_BLOCK, at, at + length);
    live.delete(block);
  };
  const anyLive = (): number | undefined => [...live.keys()][random(Math.max(1, live.size))];
  const room = (length: number): number => {
    for (let tries = 0; tries < 50; tries++) {
      const at = random(units - length);
      if (owner.slice(at, at + length).every((one) => one === NO_BLOCK)) return at;
    }
    return -1;
  };
  while (calls.length < count) {
    const kind = random(20);
    const victim = anyLive();
    if (kind === 0) {
      const page = random(Math.floor((units * UNIT) / 4096));
      calls.push({ back: [page * 4096, (page + 1 + random(3)) * 4096] });
      continue;
    }
    if (kind < 8 && victim !== undefined) {
      release(victim);
      calls.push({ frees: victim });
      continue;
    }
    const size = 1 + random(random(8) ? 100 : 3000);
    const length = Math.ceil(size / UNIT);
    const frees = kind === 9 ? victim : undefined;
    if (frees !== undefined) release(frees);
    const at = room(length);
    if (at < 0) {
      if (frees !== undefined) calls.push({ frees });
      continue;
    }
    owner.fill(blocks, at, at + length);
    live.set(blocks++, { at, length });
    calls.push({ at: at * UNIT, size, thread: random(10), ...(frees === undefined ? {} : { frees }) });
  }
  return calls;
}

/** What each byte of the heap is after so many calls: kept byte by byte. */
export class Bytes {
  readonly owner: Int32Array;
  /** 1 + the call that freed it last, or 0. */
  readonly freedAt: Uint32Array;
  readonly blocks: { at: number; size: number; born: number; thread: number }[] = [];
  readonly live = new Set<number>();

  constructor(calls: readonly Call[], now: number, length: number) {
    this.owner = new Int32Array(length).fill(NO_BLOCK);
    this.freedAt = new Uint32Array(length);
    for (const [event, { at, size = 0, frees, thread = 0 }] of calls.slice(0, now).entries()) {
      if (frees !== undefined) {
        const old = this.blocks[frees]!;
        this.owner.fill(NO_BLOCK, old.at, old.at + old.size);
        this.freedAt.fill(event + 1, old.at, old.at + old.size);
        this.live.delete(frees);
      }
      if (at !== undefined) {
        this.owner.fill(this.blocks.length, at, at + size);
        this.live.add(this.blocks.length);
        this.blocks.push({ at, size, born: event, thread });
      }
    }
  }

  get liveBytes(): number {
    return [...this.live].reduce((sum, block) => sum + this.blocks[block]!.size, 0);
  }
}
