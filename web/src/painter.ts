/**
 * Owns the pixels of the map: one for each cell of so many bytes, in the order of addresses.
 *
 * A cell with live bytes has the colour of the block that has most of it, paler where less of it is live. Other
 * cells are free, given back, or never were part of a block.
 */
import type { Heap } from "./heap";
import type { Kinds } from "./kinds";
import { blend, shareOfAge, shareOfSize, stepOf } from "./palette";
import type { Colouring, Palette } from "./palette";
import { lastAtMost } from "./space";

/** A part of the space in rows of cells. */
export interface View {
  /** The place in the space of the first cell. */
  readonly start: number;
  /** Bytes of a cell. */
  readonly cell: number;
  readonly columns: number;
  readonly rows: number;
  /** CSS pixels of a cell's edge. */
  readonly edge: number;
}

/** The blocks of stacks that have a value. */
interface Only {
  readonly shown: Uint8Array;
  readonly value: number;
}

export class Painter {
  private covered = new Float64Array(0);
  private most = new Float64Array(0);
  private owner = new Int32Array(0);

  constructor(
    private readonly heap: Heap,
    private readonly threads: Kinds,
    private readonly sites: Kinds,
    private readonly siteOf: Uint32Array,
    private readonly stacks: Kinds,
  ) {}

  /** The pixels of a view; of stacks that are not `shown`, blocks all have the same colour. */
  paint(
    view: View,
    colouring: Colouring,
    palette: Palette,
    shown: Uint8Array | null = null,
  ): Uint32Array<ArrayBuffer> {
    const pixels = new Uint32Array(view.columns * view.rows);
    this.paintFree(pixels, view, palette);
    if (shown) this.paintLive(pixels, view, () => palette.aside, { shown, value: 0 });
    const only = shown && { shown, value: 1 };
    this.paintLive(pixels, view, this.colours(colouring, palette), only);
    return pixels;
  }

  private paintLive(
    pixels: Uint32Array,
    view: View,
    colourOf: (block: number) => number,
    only: Only | null,
  ): void {
    this.findOwners(pixels.length, view, only);
    const { owner, covered } = this;
    for (let cell = 0; cell < pixels.length; cell++) {
      const block = owner[cell]!;
      if (block < 0) continue;
      const colour = colourOf(block);
      const share = covered[cell]! / view.cell;
      pixels[cell] = share >= 1 ? colour : blend(pixels[cell]!, colour, share);
    }
  }

  private colours(colouring: Colouring, palette: Palette): (block: number) => number {
    const { trace, now } = this.heap;
    const { ramp, kinds } = palette;
    switch (colouring) {
      case "size":
        return (block) => ramp[stepOf(shareOfSize(trace.size[block]!))]!;
      case "age":
        return (block) => ramp[stepOf(shareOfAge(now - 1 - trace.born[block]!, trace.events))]!;
      case "thread":
        return (block) => kinds[this.threads.of[trace.thread[trace.born[block]!]!]!]!;
      case "site":
        return (block) => kinds[this.sites.of[this.siteOf[trace.stack[block]!] ?? 0]!]!;
      case "stack":
        return (block) => kinds[this.stacks.of[trace.stack[block]!] ?? this.stacks.of[0]!]!;
    }
  }

  /** What is not live: of the grains in a cell the one freed last counts; given back is one where all are. */
  private paintFree(pixels: Uint32Array, view: View, palette: Palette): void {
    const { heap } = this;
    const { freedAt, backAt, grain, grains, now } = heap;
    const { size } = heap.slots.space;
    for (let cell = 0; cell < pixels.length; cell++) {
      const begin = view.start + cell * view.cell;
      if (begin >= size) {
        pixels.fill(palette.outside, cell);
        return;
      }
      const first = Math.floor(begin / grain);
      const last = Math.min(grains - 1, Math.floor((begin + view.cell - 1) / grain));
      let latest = 0;
      let isBack = heap.tellsGivenBack;
      for (let at = first; at <= last; at++) {
        if (freedAt[at]! > latest) latest = freedAt[at]!;
        if (isBack && !backAt[at]) isBack = false;
      }
      if (isBack) pixels[cell] = palette.back;
      else if (latest) pixels[cell] = palette.freed[stepOf(shareOfAge(now - latest, heap.trace.events))]!;
      else pixels[cell] = palette.never;
    }
  }

  /** Of each cell the live block that has most of it, and how many bytes are live. */
  private findOwners(cells: number, view: View, only: Only | null): void {
    if (this.owner.length < cells) {
      this.covered = new Float64Array(cells);
      this.most = new Float64Array(cells);
      this.owner = new Int32Array(cells);
    }
    const { covered, most, owner, heap } = this;
    covered.fill(0, 0, cells);
    most.fill(0, 0, cells);
    owner.fill(-1, 0, cells);
    const { start, cell } = view;
    const end = start + cells * cell;
    const [firstSlot, endSlot] = slotsIn(heap, start, end);
    const { live, last } = heap;
    const { offset } = heap.slots;
    const { stack } = heap.trace;
    // The one loop whose length is that of the heap: each word of bits is taken apart here, without a call.
    for (let word = firstSlot >>> 5; word << 5 < endSlot; word++) {
      for (let bits = live[word]!; bits; bits &= bits - 1) {
        const slot = (word << 5) + 31 - Math.clz32(bits & -bits);
        if (slot < firstSlot || slot >= endSlot) continue;
        if (only && (only.shown[stack[last[slot]!]!] ?? only.shown[0]!) !== only.value) continue;
        const from = Math.max(0, offset[slot]! - start);
        const to = Math.min(end - start, offset[slot]! + heap.extentOf(slot) - start);
        let at = (from / cell) | 0;
        const lastAt = ((to - 1) / cell) | 0;
        for (let begin = at * cell; at <= lastAt; at++, begin += cell) {
          const bytes = (to < begin + cell ? to : begin + cell) - (from > begin ? from : begin);
          covered[at]! += bytes;
          if (bytes > most[at]!) {
            most[at] = bytes;
            owner[at] = last[slot]!;
          }
        }
      }
    }
  }
}

/** The slots with live blocks that reach into a part of the space, and where they end. */
export function slotsIn(heap: Heap, begin: number, end: number): [number, number] {
  const { offset, count } = heap.slots;
  const before = lastAtMost(count, (slot) => offset[slot]!, begin);
  const reaching = heap.previousLive(before);
  const endSlot = lastAtMost(count, (slot) => offset[slot]!, end - 1) + 1;
  if (reaching < 0) return [0, endSlot];
  const reach = offset[reaching]! + heap.extentOf(reaching);
  return [reach > begin ? reaching : before + 1, endSlot];
}
