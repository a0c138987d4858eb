/** Owns the flame graph: live bytes by stacks, callers above those they call. */
import type { Heap } from "./heap";

const LEAST_SHARE = 1 / 600;
const WITHOUT_STACK = 0;

/** A frame of the graph; shares are of the whole width. */
export interface FlameNode {
  readonly stack: number;
  readonly label: string;
  readonly depth: number;
  readonly from: number;
  readonly share: number;
  readonly bytes: number;
}

/** What is live, by stacks; within the frame `root`, or all if that is 0. */
export function flameGraph(heap: Heap, root = 0): FlameNode[] {
  const { tables, stack, size } = heap.trace;
  const bytes = new Float64Array(tables.stacks);
  heap.eachLive((block) => {
    const at = stack[block]!;
    bytes[at < bytes.length ? at : WITHOUT_STACK]! += size[block]!;
  });
  const children = new Map<number, number[]>();
  const without = bytes[WITHOUT_STACK]!;
  for (let at = tables.stacks - 1; at > 0; at--) {
    if (!bytes[at]) continue;
    const caller = tables.callerOf(at);
    bytes[caller]! += bytes[at]!;
    const siblings = children.get(caller);
    if (siblings) siblings.push(at);
    else children.set(caller, [at]);
  }
  const total = bytes[root]!;
  const found: FlameNode[] = [];
  if (!total) return found;
  const place = (at: number, depth: number, from: number): void => {
    const share = bytes[at]! / total;
    if (share < LEAST_SHARE) return;
    const label = at ? tables.labelOf(at) : "all that is live";
    found.push({ stack: at, label, depth, from, share, bytes: bytes[at]! });
    const below = (children.get(at) ?? []).sort((one, other) => bytes[other]! - bytes[one]!);
    let next = from;
    for (const child of below) {
      place(child, depth + 1, next);
      next += bytes[child]! / total;
    }
  };
  place(root, 0, 0);
  if (root === 0 && without / total >= LEAST_SHARE) {
    found.push({
      stack: -1,
      label: "without a stack",
      depth: 1,
      from: 1 - without / total,
      share: without / total,
      bytes: without,
    });
  }
  return found;
}
