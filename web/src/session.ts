/** Owns an opened trace: answers what the page asks about its heap. */
import { Accounts } from "./curves";
import type { Curves } from "./curves";
import { flameGraph, stacksWithin } from "./flame";
import { fromBase64, STACKS } from "./format";
import { Heap } from "./heap";
import { histograms } from "./histograms";
import { Kinds, siteKinds, stackKinds, threadKinds } from "./kinds";
import { blocksOfLine, pinLedger } from "./ledger";
import type { Grouping } from "./ledger";
import { lookAt } from "./look";
import { nameOf } from "./operations";
import { isBeside } from "./overhead";
import { Painter, slotsIn } from "./painter";
import type { View } from "./painter";
import { Palette } from "./palette";
import type { Answers, Drawn, LastEvent, Name, Opened, Outline, Questions } from "./protocol";
import { lastAtMost, Slots } from "./space";
import { readTrace } from "./trace";
import type { Trace } from "./trace";
import { bytesText } from "./words";

export type Progress = (share: number, what: string) => void;

const POINTS = 1500;
const MOST_OUTLINES = 600;
const CELLS_OF_OUTLINES = 1 << 10; // bytes of a cell: in larger ones blocks are not told apart
const THREADS_IN_KEY = 1 << 20;

type Answered = Exclude<Name, "open">;
type Handlers = { [N in Answered]: (question: Questions[N]) => Answers[N] };

export class Session {
  private readonly accounts: Accounts;
  private readonly heap: Heap;
  private readonly painter: Painter;
  private readonly threads: Kinds;
  private readonly sites: Kinds;
  private readonly stacks: Kinds;
  private readonly grouping: Grouping;
  private readonly palettes = { light: new Palette("light"), dark: new Palette("dark") };

  private constructor(
    private readonly trace: Trace,
    progress: Progress,
  ) {
    const slots = new Slots(trace);
    this.accounts = new Accounts(trace, slots);
    this.heap = new Heap(trace, slots, this.accounts, (done) =>
      progress(0.5 + share(done, trace.events) / 2, "playing"),
    );
    this.threads = threadKinds(trace);
    const { siteOf, kinds } = siteKinds(trace);
    this.sites = kinds;
    this.stacks = stackKinds(trace);
    this.painter = new Painter(this.heap, this.threads, this.sites, siteOf, this.stacks);
    this.grouping = trace.tables.stacks > 1 ? bySite(trace, siteOf) : bySizeAndThread(trace);
  }

  /** Open the trace that the page has. */
  static async open(
    { base64, frames }: Questions["open"],
    progress: Progress = () => undefined,
  ): Promise<Session> {
    const trace = await readTrace(fromBase64(base64), (done, total) =>
      progress(share(done, total) / 2, "unpacking"),
    );
    for (const [number, label] of Object.entries(frames)) trace.tables.name(Number(number), label);
    return new Session(trace, progress);
  }

  answer<N extends Answered>(name: N, question: Questions[N]): Answers[N] {
    return this.handlers[name](question);
  }

  opened(): Opened {
    const { trace, heap } = this;
    const { space } = heap.slots;
    return {
      events: trace.events,
      blocks: trace.blocks,
      hasAddresses: trace.hasAddresses,
      hasTimes: trace.hasTimes,
      hasStacks: (trace.header.flags & STACKS) !== 0 && trace.tables.stacks > 1,
      tellsGivenBack: heap.tellsGivenBack,
      tellsTaken: this.accounts.tellsTaken,
      isSampled: trace.header.meanGap > 0,
      ticksPerSecond: trace.header.ticksPerSecond,
      about: [...trace.about],
      damage: trace.damage,
      peak: this.accounts.peak,
      spaceSize: space.size,
      parts: space.parts,
      grain: heap.grain,
      threads: this.threads.all,
      sites: this.sites.all,
      stacks: this.stacks.all,
      curves: this.curves(0, trace.events, POINTS),
    };
  }

  private readonly handlers: Handlers = {
    draw: (question) => this.draw(question),
    curves: ({ from, to, points }) => this.curves(from, to, points),
    look: ({ now, offset }) => (this.at(now).slots.space.size > offset ? lookAt(this.heap, offset) : null),
    sizes: ({ now }) => histograms(this.at(now)),
    pins: ({ now }) => pinLedger(this.at(now), this.grouping),
    pinned: ({ now, key }) => blocksOfLine(this.at(now), this.grouping, key),
    flame: ({ now, root }) => flameGraph(this.at(now), root),
  };

  private at(now: number): Heap {
    this.heap.seek(now);
    return this.heap;
  }

  private curves(from: number, to: number, points: number): Curves {
    return this.accounts.between(from, to, points);
  }

  private draw({ now, view, colouring, theme, within }: Questions["draw"]): Drawn {
    const heap = this.at(now);
    const shown = stacksWithin(this.trace.tables, within);
    const pixels = this.painter.paint(view, colouring, this.palettes[theme], shown);
    const { liveBytes, liveBlocks } = heap;
    return {
      now,
      view,
      pixels: pixels.buffer,
      liveBytes,
      liveBlocks,
      ...this.accounts.at(now),
      last: this.lastEvent(now),
      outlines: this.outlines(view),
    };
  }

  private lastEvent(now: number): LastEvent | null {
    if (!now) return null;
    const { trace } = this;
    const { slots } = this.heap;
    const event = now - 1;
    const [given, freed] = [trace.given[event]!, trace.freed[event]!];
    const other =
      given < 0 && freed < 0
        ? trace.others[lastAtMost(trace.others.length, (at) => trace.others[at]!.event, event)]
        : undefined;
    const block = given >= 0 ? given : freed;
    return {
      name: nameOf(trace.operation[event]!),
      thread: trace.threadLabel(trace.thread[event]!),
      time: trace.hasTimes ? trace.time[event]! : null,
      size: block >= 0 ? trace.size[block]! : (other?.size ?? null),
      address: trace.hasAddresses && block >= 0 ? trace.address[block]! : other?.address || null,
      offset: trace.hasAddresses && block >= 0 ? slots.offset[slots.ofBlock[block]!]! : null,
    };
  }

  /** The live blocks in a view; nothing if there are too many to draw them apart. */
  private outlines(view: View): Outline[] {
    if (view.cell > CELLS_OF_OUTLINES) return [];
    const { heap } = this;
    const found: Outline[] = [];
    const [first, end] = slotsIn(heap, view.start, view.start + view.cell * view.columns * view.rows);
    for (let slot = heap.nextLive(first); slot < end; slot = heap.nextLive(slot + 1)) {
      if (found.length === MOST_OUTLINES) return [];
      const offset = heap.slots.offset[slot]!;
      const size = heap.extentOf(slot);
      found.push({ offset, size, isBeside: isBeside(heap.slots, offset + size, heap.nextLive(slot + 1)) });
    }
    return found;
  }
}

function share(done: number, total: number): number {
  return total ? done / total : 1;
}

function bySite(trace: Trace, siteOf: Uint32Array): Grouping {
  return {
    keyOf: (block) => siteOf[trace.stack[block]!] ?? 0,
    labelOf: (site) => trace.tables.frames[site]?.label ?? "without a stack",
  };
}

function bySizeAndThread(trace: Trace): Grouping {
  return {
    keyOf: (block) =>
      trace.size[block]! * THREADS_IN_KEY + (trace.thread[trace.born[block]!]! % THREADS_IN_KEY),
    labelOf: (key) =>
      `${bytesText(Math.floor(key / THREADS_IN_KEY))}, ${trace.threadLabel(key % THREADS_IN_KEY)}`,
  };
}
