/** Owns the panels beside the map: a block, sizes, the pin ledger, and stacks. */
import { make, terms } from "./dom";
import { ALL_STACKS } from "./flame";
import type { FlameNode } from "./flame";
import type { SizeClass } from "./histograms";
import type { Ledger, LedgerLine } from "./ledger";
import type { Found, Neighbour } from "./look";
import { isOverhead } from "./overhead";
import { addressText, bytesMark, bytesText, countText, numberText, secondsText } from "./words";

const ROW_HEIGHT = 20;
const NARROW = 0.02; // share of a frame that has no room for a name
const MOST_DRAWN = 256; // bytes of a part of a block's picture: longer ones are drawn like that

/** Times in seconds from ticks, where the trace has them. */
export type TimeText = (ticks: number | null) => string;

export interface BlockActions {
  choose(offset: number): void;
  reveal(offset: number, size: number): void;
  go(now: number): void;
}

/** What is known of a place. */
export function blockPanel(
  found: Found | null,
  now: number,
  timeText: TimeText,
  actions: BlockActions,
): HTMLElement {
  if (!found) return make("p", { class: "hint" }, "Click on the map to see what is there.");
  const moment = (event: number, time: number | null): HTMLElement =>
    make(
      "span",
      {},
      link(`event ${numberText(event)}`, () => actions.go(event)),
      time === null ? "" : `, ${timeText(time)}`,
    );
  const isLive = found.state === "live";
  const title = isLive ? `${bytesText(found.size)}, live` : `${bytesText(found.size)}, ${found.state}`;
  const neighbour = (one: Neighbour | null): HTMLElement | null =>
    one &&
    make(
      "span",
      {},
      link(bytesText(one.size), () => actions.choose(one.offset)),
      `, ${gapText(one)}`,
    );
  const rows: [string, Node | string | null][] = [
    ["address", make("code", {}, `${addressText(found.address)} – ${addressText(found.address + found.size)}`)],
  ];
  if (found.block >= 0) {
    if (!isLive) rows.push(["last block", bytesText(found.blockSize)]);
    rows.push(["allocated", moment(found.born, found.bornTime)], ["by", found.thread]);
    if (isLive) rows.push(["age", countText(now - found.born, "event")]);
  }
  if (found.died !== null) {
    rows.push(["freed", moment(found.died, found.diedTime)], ["by", found.freedThread]);
    rows.push(["free for", countText(now - found.died, "event")]);
  }
  if (found.givenBack) rows.push(["given back", moment(found.givenBack, null)]);
  rows.push(["before it", neighbour(found.before)], ["behind it", neighbour(found.after)]);
  const panel = make("div", {}, make("h2", {}, title), isLive ? placeBar(found) : "", terms(rows));
  panel.append(
    make(
      "p",
      {},
      make("button", { type: "button", click: () => actions.reveal(found.offset, found.size) }, "zoom to it"),
    ),
  );
  if (found.frames.length) {
    panel.append(
      make("h3", {}, "Allocated in"),
      make("ol", { class: "frames" }, ...found.frames.map((frame) => make("li", {}, frame))),
    );
  }
  return panel;
}

/** What is between a block and its neighbour. */
function gapText({ gap, isBeside }: Neighbour): string {
  if (!gap) return "side by side";
  return isOverhead(gap, isBeside)
    ? `behind ${bytesText(gap)} of header and padding`
    : `behind ${bytesText(gap)} that are not live`;
}

/** A live block's payload and what is beside it, to scale as far as there is room. */
function placeBar({ size, before, after }: Found): HTMLElement {
  const part = (kind: string, bytes: number, meaning: string): HTMLElement =>
    make(
      "span",
      {
        class: kind,
        style: `flex-grow: ${Math.min(bytes, MOST_DRAWN)}`,
        title: `${meaning}: ${bytesText(bytes)}`,
      },
      kind === "overhead" ? numberText(bytes) : `${meaning} ${numberText(bytes)}`,
    );
  const beside = (one: Neighbour | null): HTMLElement | null => {
    if (!one?.gap) return null;
    return isOverhead(one.gap, one.isBeside)
      ? part("overhead", one.gap, "header and padding")
      : part("gap", one.gap, "not live");
  };
  return make("div", { class: "place" }, beside(before), part("payload", size, "payload"), beside(after));
}

function link(text: string, click: () => void): HTMLElement {
  return make("button", { type: "button", class: "link", click }, text);
}

/** The histograms. */
export function sizesPanel(
  sizes: { blocks: SizeClass[]; gaps: SizeClass[] },
  hasAddresses: boolean,
): HTMLElement {
  const panel = make("div", {}, histogram("Live blocks", "block", sizes.blocks));
  if (hasAddresses) {
    panel.append(histogram("Gaps between live blocks", "gap", sizes.gaps));
    panel.append(
      make(
        "p",
        { class: "hint" },
        "A gap is the space between two live blocks: free memory, and the allocator's own data.",
      ),
    );
  }
  return panel;
}

function histogram(title: string, noun: string, classes: readonly SizeClass[]): HTMLElement {
  const [count, bytes] = classes.reduce((sum, one) => [sum[0]! + one.count, sum[1]! + one.bytes], [0, 0]);
  const most = Math.max(1, ...classes.map((one) => one.bytes));
  const rows = classes.map((one) => {
    const name = one.least < 1 ? "0" : `${bytesMark(one.least)}–${bytesMark(one.least * 2)}`;
    const width = `width: ${((100 * one.bytes) / most).toFixed(2)}%`;
    return make(
      "tr",
      { title: `${countText(one.count, noun)} of ${name} bytes: ${bytesText(one.bytes)}` },
      make("th", { scope: "row" }, name),
      make("td", { class: "bar-cell" }, make("span", { class: `bar-${noun}`, style: width })),
      make("td", {}, numberText(one.count)),
      make("td", {}, bytesText(one.bytes)),
    );
  });
  const head = make(
    "tr",
    {},
    make("th", {}, "bytes"),
    make("td"),
    make("td", {}, `${noun}s`),
    make("td", {}, "total"),
  );
  return make(
    "section",
    {},
    make("h2", {}, title),
    make("p", {}, `${countText(count!, noun)}, ${bytesText(bytes!)}`),
    make("table", { class: "histogram" }, make("thead", {}, head), make("tbody", {}, ...rows)),
  );
}

/** The pin ledger; `chosen` is the key of the line whose blocks are marked. */
export function pinsPanel(
  ledger: Ledger,
  chosen: number | null,
  choose: (line: LedgerLine) => void,
): HTMLElement {
  if (!ledger.pages) return make("p", { class: "hint" }, "No page with live blocks is more than half free.");
  const lines = ledger.lines.map((line) =>
    make(
      "tr",
      {
        tabindex: "0",
        class: line.key === chosen ? "chosen" : "",
        "data-held": String(line.held),
        click: () => choose(line),
        keydown: (event) => {
          if ((event as KeyboardEvent).key === "Enter") choose(line);
        },
      },
      make("td", {}, bytesText(Math.round(line.held))),
      make("td", {}, numberText(line.blocks)),
      make("td", {}, line.label),
    ),
  );
  const head = make("tr", {}, make("td", {}, "held back"), make("td", {}, "blocks"), make("th", {}, "of"));
  return make(
    "div",
    {},
    make("h2", { "data-held": String(ledger.held) }, `${bytesText(ledger.held)} held back`),
    make(
      "p",
      {},
      `${countText(ledger.pages, "page")} of ${bytesText(ledger.page)}, each more than half free, cannot be ` +
        "given back to the system. Click on a line to see its blocks.",
    ),
    make("table", { class: "ledger" }, make("thead", {}, head), make("tbody", {}, ...lines)),
  );
}

/** The flame graph: callers above those they call; `root` is the frame whose blocks are shown. */
export function flamePanel(
  nodes: readonly FlameNode[],
  root: number,
  hasMap: boolean,
  choose: (node: FlameNode) => void,
): HTMLElement {
  const shown = nodes.find(({ stack }) => stack === root);
  if (!shown) return make("p", { class: "hint" }, "Nothing is live.");
  const depth = nodes.reduce((most, node) => Math.max(most, node.depth), 0);
  const graph = make("div", { class: "flame", style: `height: ${(depth + 1) * ROW_HEIGHT}px` });
  for (const node of nodes) {
    const place = [
      `left: ${(100 * node.from).toFixed(3)}%`,
      `width: ${(100 * node.share).toFixed(3)}%`,
      `top: ${node.depth * ROW_HEIGHT}px`,
      `--hue: ${hueOf(node.label)}`,
    ];
    const kind = node.stack === root ? "shown" : node.depth < shown.depth ? "above" : "";
    const width = node.share < NARROW ? " narrow" : "";
    const text = `${node.label}: ${bytesText(node.bytes)}, ${countText(node.blocks, "block")}`;
    graph.append(
      make(
        "button",
        {
          type: "button",
          class: kind + width,
          style: place.join("; "),
          title: text,
          click: () => choose(node),
        },
        node.label,
      ),
    );
  }
  const [all] = nodes;
  const much = `${bytesText(shown.bytes)} in ${countText(shown.blocks, "block")}`;
  const hint = hasMap
    ? "Click on a frame to see its blocks on the map."
    : "Click on a frame to see it at full width.";
  return make(
    "div",
    {},
    make("h2", {}, root === ALL_STACKS ? `${much}, by stacks` : `${much}: ${shown.label}`),
    make("p", {}, root === ALL_STACKS || !all ? hint : link("all stacks", () => choose(all))),
    graph,
  );
}

/** The same shade for the same name. */
function hueOf(label: string): number {
  let hash = 0;
  for (let at = 0; at < label.length; at++) hash = (Math.imul(hash, 31) + label.charCodeAt(at)) | 0;
  return 18 + (Math.abs(hash) % 36);
}

/** How times are written, of a trace with so many ticks in a second. */
export function timeTextFor(ticksPerSecond: number): TimeText {
  return (ticks) => (ticks === null || !ticksPerSecond ? "" : secondsText(ticks / ticksPerSecond));
}
