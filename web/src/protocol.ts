/** Owns the messages between the page and the worker that has the heap. */
import type { Curves, Peak } from "./curves";
import type { FlameNode } from "./flame";
import type { SizeClass } from "./histograms";
import type { Kind } from "./kinds";
import type { Ledger } from "./ledger";
import type { Found } from "./look";
import type { Colouring, Theme } from "./palette";
import type { View } from "./painter";
import type { Part } from "./space";

/** What the page asks; each has an answer of the same name. */
export interface Questions {
  /** `frames` has names of frames that the trace does not have, by number. */
  open: { base64: string; frames: Readonly<Record<string, string>> };
  /** `within` is the stack whose blocks are shown: see the flame graph. */
  draw: { now: number; view: View; colouring: Colouring; theme: Theme; within: number };
  curves: { from: number; to: number; points: number };
  look: { now: number; offset: number };
  sizes: { now: number };
  pins: { now: number };
  pinned: { now: number; key: number };
  flame: { now: number; root: number };
}

export interface Opened {
  readonly events: number;
  readonly blocks: number;
  readonly hasAddresses: boolean;
  readonly hasTimes: boolean;
  readonly hasStacks: boolean;
  readonly tellsGivenBack: boolean;
  readonly tellsTaken: boolean;
  readonly isSampled: boolean;
  readonly ticksPerSecond: number;
  readonly about: [string, string][];
  readonly damage: string | null;
  readonly peak: Peak;
  readonly spaceSize: number;
  readonly parts: readonly Part[];
  readonly grain: number;
  readonly threads: Kind[];
  readonly sites: Kind[];
  readonly stacks: Kind[];
  readonly curves: Curves;
}

/** The event that happened last. */
export interface LastEvent {
  readonly name: string;
  readonly thread: string;
  readonly time: number | null;
  readonly size: number | null;
  readonly address: number | null;
  /** Where its block is in the space. */
  readonly offset: number | null;
}

/** A live block in a view of few blocks. */
export interface Outline {
  readonly offset: number;
  readonly size: number;
  /** No block ever began between it and the next live one. */
  readonly isBeside: boolean;
}

export interface Drawn {
  readonly now: number;
  readonly view: View;
  /** Of as many pixels as the view has cells. */
  readonly pixels: ArrayBuffer;
  readonly liveBytes: number;
  readonly liveBlocks: number;
  readonly occupied: number;
  readonly touched: number;
  readonly taken: number;
  readonly last: LastEvent | null;
  readonly outlines: Outline[];
}

export interface Answers {
  open: Opened;
  draw: Drawn;
  curves: Curves;
  look: Found | null;
  sizes: { blocks: SizeClass[]; gaps: SizeClass[] };
  pins: Ledger;
  pinned: [number, number][];
  flame: FlameNode[];
}

export type Name = keyof Questions;

export interface Asked<N extends Name = Name> {
  readonly id: number;
  readonly name: N;
  readonly question: Questions[N];
}

export type Said =
  | { readonly id: number; readonly answer: Answers[Name] }
  | { readonly id: number; readonly error: string }
  | { readonly progress: number; readonly what: string };
