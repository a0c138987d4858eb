/** Owns which threads and which places in the program have a colour of their own: those that allocated most. */
import { KINDS } from "./palette";
import type { Trace } from "./trace";

const SHOWN_FRAMES = 3;

export interface Kind {
  readonly label: string;
  readonly bytes: number;
}

/** Blocks sorted into kinds; the last kind is all others. */
export class Kinds {
  /** The kind of each thread, or of each site. */
  readonly of: Uint8Array;
  readonly all: Kind[];

  constructor(bytes: Float64Array, labelOf: (key: number) => string) {
    const keys = [...bytes.keys()]
      .filter((key) => bytes[key]! > 0)
      .sort((one, other) => bytes[other]! - bytes[one]!);
    this.of = new Uint8Array(bytes.length).fill(KINDS);
    this.all = keys.slice(0, KINDS).map((key, kind) => {
      this.of[key] = kind;
      return { label: labelOf(key), bytes: bytes[key]! };
    });
    const others = keys.slice(KINDS);
    if (others.length) {
      const sum = others.reduce((total, key) => total + bytes[key]!, 0);
      this.all.push({ label: `${others.length.toLocaleString("en")} others`, bytes: sum });
    }
  }
}

/** The threads that allocated. */
export function threadKinds(trace: Trace): Kinds {
  const bytes = new Float64Array(trace.threadNumbers.length);
  for (let block = 0; block < trace.blocks; block++)
    bytes[trace.thread[trace.born[block]!]!]! += trace.size[block]!;
  return new Kinds(bytes, (thread) => trace.threadLabel(thread));
}

/** The stacks that allocated. */
export function stackKinds(trace: Trace): Kinds {
  const { tables } = trace;
  const bytes = new Float64Array(tables.stacks);
  for (let block = 0; block < trace.blocks; block++) {
    const stack = trace.stack[block]!;
    bytes[stack < bytes.length ? stack : 0]! += trace.size[block]!;
  }
  return new Kinds(bytes, (stack) => stackLabel(tables.framesOf(stack)));
}

function stackLabel(frames: readonly string[]): string {
  const nearest = frames.slice(0, SHOWN_FRAMES).join(" < ");
  return frames.length > SHOWN_FRAMES ? `${nearest} < ...` : nearest || "without a stack";
}

/** The site of each stack, and the sites that allocated. */
export function siteKinds(trace: Trace): { siteOf: Uint32Array; kinds: Kinds } {
  const siteOf = Uint32Array.from({ length: trace.tables.stacks }, (_, stack) => trace.tables.siteOf(stack));
  const bytes = new Float64Array(trace.tables.frames.length);
  for (let block = 0; block < trace.blocks; block++)
    bytes[siteOf[trace.stack[block]!] ?? 0]! += trace.size[block]!;
  return { siteOf, kinds: new Kinds(bytes, (site) => trace.tables.frames[site]?.label ?? "without a stack") };
}
