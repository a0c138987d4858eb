/**
 * Owns the curves over all events: live bytes, pages with live blocks, pages that blocks ever touched, and what
 * was taken from the system if the trace tells.
 */
import type { Watcher } from "./heap";
import { pageFor } from "./pages";
import type { Slots } from "./space";
import { GROWTH, MAP, UNMAP } from "./operations";
import type { OtherEvent, Trace } from "./trace";

const MOST_SAMPLES = 1 << 20;

export interface Peak {
  /** How many events had happened. */
  now: number;
  bytes: number;
}

/** The largest values between moments that are evenly apart. */
export interface Curves {
  /** The moments, in events. */
  readonly at: Float64Array;
  readonly live: Float64Array;
  readonly occupied: Float64Array;
  readonly touched: Float64Array;
  readonly taken: Float64Array;
}

/** Follows the events when they are played first. */
export class Accounts implements Watcher {
  readonly peak: Peak = { now: 0, bytes: 0 };
  readonly page: number;
  /** How many events a sample stands for. */
  readonly step: number;
  /** The trace says when the heap grew, or what was mapped. */
  readonly tellsTaken: boolean;
  private live = 0;
  private taken = 0;
  private nextOther = 0;
  private occupiedPages = 0;
  private touchedPages = 0;
  /** How many live blocks begin or end in each page; those that cover it wholly are not counted. */
  private readonly edges: Uint32Array;
  private readonly touched: Uint8Array;
  private readonly liveSamples: Float64Array;
  private readonly occupiedSamples: Float64Array;
  private readonly touchedSamples: Float64Array;
  private readonly takenSamples: Float64Array;

  constructor(
    private readonly trace: Trace,
    private readonly slots: Slots,
  ) {
    this.page = pageFor(slots.space.size, trace.header.pageSize);
    const pages = Math.ceil(slots.space.size / this.page);
    this.edges = new Uint32Array(pages);
    this.touched = new Uint8Array(pages);
    this.step = Math.max(1, Math.ceil(trace.events / MOST_SAMPLES));
    const samples = Math.ceil(trace.events / this.step) + 1;
    this.liveSamples = new Float64Array(samples);
    this.occupiedSamples = new Float64Array(samples);
    this.touchedSamples = new Float64Array(samples);
    this.tellsTaken = trace.others.some(({ operation }) => operation === GROWTH || operation === MAP);
    this.takenSamples = new Float64Array(samples);
  }

  begin(block: number): void {
    this.live += this.bytesBehind(block);
    if (!this.edges.length) return;
    const first = this.firstPage(block);
    const last = this.lastPage(block);
    if (this.edges[first]!++ === 0) this.occupiedPages++;
    if (last > first) {
      if (this.edges[last]!++ === 0) this.occupiedPages++;
      this.occupiedPages += last - first - 1;
    }
    for (let page = first; page <= last; page++) {
      this.touchedPages += 1 - this.touched[page]!;
      this.touched[page] = 1;
    }
  }

  end(block: number): void {
    this.live -= this.bytesBehind(block);
    if (!this.edges.length) return;
    const first = this.firstPage(block);
    const last = this.lastPage(block);
    if (--this.edges[first]! === 0) this.occupiedPages--;
    if (last > first) {
      if (--this.edges[last]! === 0) this.occupiedPages--;
      this.occupiedPages -= last - first - 1;
    }
  }

  giveBack(begin: number, end: number): void {
    for (let page = Math.ceil(begin / this.page); page < Math.floor(end / this.page); page++) {
      this.touchedPages -= this.touched[page]!;
      this.touched[page] = 0;
    }
  }

  after(event: number): void {
    if (this.live > this.peak.bytes) {
      this.peak.bytes = this.live;
      this.peak.now = event + 1;
    }
    const other = this.trace.others[this.nextOther];
    if (other?.event === event) {
      this.nextOther++;
      this.taken = Math.max(0, this.taken + takenBy(other));
    }
    const sample = Math.floor(event / this.step) + 1;
    this.liveSamples[sample] = Math.max(this.liveSamples[sample]!, this.live);
    this.occupiedSamples[sample] = this.occupiedPages * this.page;
    this.touchedSamples[sample] = this.touchedPages * this.page;
    this.takenSamples[sample] = this.taken;
  }

  /** So many points of the curves between two moments. */
  between(from: number, to: number, points: number): Curves {
    const [first, last] = [Math.floor(from / this.step), Math.ceil(to / this.step)];
    const count = Math.min(points, last - first + 1);
    const curves: Curves = {
      at: new Float64Array(count),
      live: new Float64Array(count),
      occupied: new Float64Array(count),
      touched: new Float64Array(count),
      taken: new Float64Array(count),
    };
    for (let point = 0; point < count; point++) {
      const begin = first + Math.floor((point * (last - first + 1)) / count);
      const end = first + Math.floor(((point + 1) * (last - first + 1)) / count);
      curves.at[point] = Math.min(this.trace.events, (point ? end - 1 : begin) * this.step);
      curves.live[point] = largest(this.liveSamples, begin, end);
      curves.occupied[point] = largest(this.occupiedSamples, begin, end);
      curves.touched[point] = largest(this.touchedSamples, begin, end);
      curves.taken[point] = largest(this.takenSamples, begin, end);
    }
    return curves;
  }

  /** The bytes of pages with live blocks, of touched pages, and of what is taken from the system. */
  at(now: number): { occupied: number; touched: number; taken: number } {
    const sample = Math.ceil(now / this.step);
    return {
      occupied: this.occupiedSamples[sample]!,
      touched: this.touchedSamples[sample]!,
      taken: this.takenSamples[sample]!,
    };
  }

  private firstPage(block: number): number {
    return Math.floor(this.slots.offset[this.slots.ofBlock[block]!]! / this.page);
  }

  private lastPage(block: number): number {
    const begin = this.slots.offset[this.slots.ofBlock[block]!]!;
    return Math.floor((begin + Math.max(1, this.trace.size[block]!) - 1) / this.page);
  }

  /** How many bytes a block stands for: in a sampled trace more than its own. */
  private bytesBehind(block: number): number {
    const size = this.trace.size[block]!;
    const gap = this.trace.header.meanGap;
    return gap ? size / -Math.expm1(-Math.max(size, 1) / gap) : size;
  }
}

/** By how many bytes an event changes what is taken from the system. */
function takenBy({ operation, size }: OtherEvent): number {
  if (operation === GROWTH || operation === MAP) return size;
  return operation === UNMAP ? -size : 0;
}

function largest(values: Float64Array, begin: number, end: number): number {
  let found = 0;
  for (let at = begin; at < end; at++) if (values[at]! > found) found = values[at]!;
  return found;
}
