/**
 * Owns the colours of the map. Amounts have viridis's ramp, kinds the colours of Okabe and Ito: people who see
 * colours differently can tell both apart.
 */
import palettes from "./palettes.json";

export type Theme = "light" | "dark";
/** What the colour of a live block says. */
export type Colouring = "size" | "age" | "thread" | "site" | "stack";

type Rgb = readonly [number, number, number];

/** So many kinds have a colour of their own; the others share one. */
export const KINDS = palettes.categories.length;
/** The colour of a block of this size, and of all larger ones, is the last of the ramp. */
export const LARGEST_SIZE = 1 << 24;
export const SMALLEST_SIZE = 16;

const STEPS = palettes.steps;
const OPAQUE = 0xff000000;

/** Colours as the pixels of an ImageData: red in the lowest byte. */
export class Palette {
  /** From the least to the greatest amount. */
  readonly ramp: Uint32Array;
  /** From freed just now to freed long ago. */
  readonly freed: Uint32Array;
  readonly kinds: Uint32Array;
  readonly never: number;
  readonly back: number;
  readonly outside: number;
  /** Live, but not what the map shows just now. */
  readonly aside: number;

  constructor(theme: Theme) {
    const own = palettes[theme];
    const anchors = palettes.ramp.map(parse);
    const [from, to] = own.ramp as [number, number];
    this.ramp = steps((share) => along(anchors, from + (to - from) * share));
    const freed = own.freed.map(parse);
    this.freed = steps((share) => along(freed, share));
    this.kinds = Uint32Array.from([...palettes.categories, own.others], (text) => pixel(parse(text)));
    this.never = pixel(parse(own.never));
    this.back = pixel(parse(own.back));
    this.outside = pixel(parse(own.outside));
    this.aside = pixel(parse(own.aside));
  }
}

/** The step of a ramp for a share from 0 to 1. */
export function stepOf(share: number): number {
  return Math.max(0, Math.min(STEPS - 1, Math.floor(share * STEPS)));
}

/** Where a size lies between the smallest and the largest, by its logarithm. */
export function shareOfSize(size: number): number {
  return Math.log2(Math.max(size, 1) / SMALLEST_SIZE) / Math.log2(LARGEST_SIZE / SMALLEST_SIZE);
}

/** Where an age lies between just now and the whole trace, by its square root; both in events. */
export function shareOfAge(age: number, events: number): number {
  return Math.sqrt(age / Math.max(1, events));
}

/** A colour that has so much of `over` that even a little is seen. */
export function blend(under: number, over: number, share: number): number {
  const much = palettes.leastShare + (1 - palettes.leastShare) * share;
  let mixed = OPAQUE;
  for (let shift = 0; shift < 24; shift += 8) {
    const [below, above] = [(under >>> shift) & 0xff, (over >>> shift) & 0xff];
    mixed |= Math.round(below + (above - below) * much) << shift;
  }
  return mixed >>> 0;
}

/** As CSS has it. */
export function css(colour: number): string {
  return `rgb(${colour & 0xff} ${(colour >>> 8) & 0xff} ${(colour >>> 16) & 0xff})`;
}

function parse(text: string): Rgb {
  const value = parseInt(text.slice(1), 16);
  return [value >>> 16, (value >>> 8) & 0xff, value & 0xff];
}

function pixel([red, green, blue]: Rgb): number {
  return (OPAQUE | (blue << 16) | (green << 8) | red) >>> 0;
}

function steps(colourAt: (share: number) => Rgb): Uint32Array {
  return Uint32Array.from({ length: STEPS }, (_, step) => pixel(colourAt(step / (STEPS - 1))));
}

/** The colour at a share of the way along the anchors. */
function along(anchors: readonly Rgb[], share: number): Rgb {
  const place = share * (anchors.length - 1);
  const before = Math.min(anchors.length - 2, Math.floor(place));
  const [from, to] = [anchors[before]!, anchors[before + 1]!];
  const part = place - before;
  return [0, 1, 2].map((at) => Math.round(from[at]! + (to[at]! - from[at]!) * part)) as unknown as Rgb;
}
