/** Owns the flame graph: live bytes by stacks, callers above those they call. */
import type { Heap } from "./heap";
import type { Tables } from "./tables";

const LEAST_SHARE = 1 / 600;

/** All stacks. */
export const ALL_STACKS = 0;
/** In place of a stack: the blocks that have none. */
export const WITHOUT_STACK = -1;

/** A frame of the graph; shares are of the whole width. */
export interface FlameNode {
  readonly stack: number;
  readonly label: string;
  readonly depth: number;
  readonly from: number;
  readonly share: number;
  readonly bytes: number;
  readonly blocks: number;
}

/** What is live, by stacks; within the frame `root`, below the frames that it was called from. */
export function flameGraph(heap: Heap, root = ALL_STACKS): FlameNode[] {
  const { tables, stack, size } = heap.trace;
  const bytes = new Float64Array(tables.stacks);
  const blocks = new Float64Array(tables.stacks);
  heap.eachLive((block) => {
    const at = stack[block]!;
    const known = at < bytes.length ? at : 0;
    bytes[known]! += size[block]!;
    blocks[known]!++;
  });
  const without = { bytes: bytes[0]!, blocks: blocks[0]! };
  const children = new Map<number, number[]>();
  for (let at = tables.stacks - 1; at > 0; at--) {
    if (!blocks[at]) continue;
    const caller = tables.callerOf(at);
    bytes[caller]! += bytes[at]!;
    blocks[caller]! += blocks[at]!;
    const siblings = children.get(caller);
    if (siblings) siblings.push(at);
    else children.set(caller, [at]);
  }
  const isWithout = root === WITHOUT_STACK;
  const total = isWithout ? without.bytes : bytes[root]!;
  const found: FlameNode[] = [];
  const add = (at: number, depth: number, from: number, share: number): void => {
    const label = at ? tables.labelOf(at) : "all that is live";
    found.push({ stack: at, label, depth, from, share, bytes: bytes[at]!, blocks: blocks[at]! });
  };
  const addWithout = (share: number): void => {
    found.push({
      stack: WITHOUT_STACK,
      label: "without a stack",
      depth: 1,
      from: 1 - share,
      share,
      ...without,
    });
  };
  const place = (at: number, depth: number, from: number): void => {
    const share = bytes[at]! / total;
    if (share < LEAST_SHARE) return;
    add(at, depth, from, share);
    const below = (children.get(at) ?? []).sort((one, other) => bytes[other]! - bytes[one]!);
    let next = from;
    for (const child of below) {
      place(child, depth + 1, next);
      next += bytes[child]! / total;
    }
  };
  if (isWithout) {
    add(ALL_STACKS, 0, 0, 1);
    addWithout(1);
    return found;
  }
  const callers = callersOf(tables, root);
  for (const [depth, caller] of callers.entries()) add(caller, depth, 0, 1);
  if (total) place(root, callers.length, 0);
  else if (root) add(root, callers.length, 0, 1);
  if (root === ALL_STACKS && total && without.bytes / total >= LEAST_SHARE) addWithout(without.bytes / total);
  return found;
}

/** The stacks that a stack was called from, the outermost first, which is that of all. */
function callersOf(tables: Tables, stack: number): number[] {
  const found: number[] = [];
  for (let at = stack; at > 0;) found.unshift((at = tables.callerOf(at)));
  return found;
}

/** Of each stack whether it is within the frame `root`, 1 or 0; nothing if all are. */
export function stacksWithin(tables: Tables, root: number): Uint8Array | null {
  if (root === ALL_STACKS) return null;
  const within = new Uint8Array(tables.stacks);
  if (root === WITHOUT_STACK) {
    within[0] = 1;
    return within;
  }
  within[root] = 1;
  for (let at = root + 1; at < tables.stacks; at++) within[at] = within[tables.callerOf(at)]!;
  return within;
}
