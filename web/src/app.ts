/** Owns the page: puts the worker's answers into the map, the curves and the panels. */
import type { Client } from "./client";
import { byId, make, Newest, terms } from "./dom";
import { ALL_STACKS } from "./flame";
import type { FlameNode } from "./flame";
import { legend } from "./legend";
import type { Found } from "./look";
import { MapView } from "./mapview";
import { Palette } from "./palette";
import type { Colouring, Theme } from "./palette";
import { blockPanel, flamePanel, pinsPanel, sizesPanel, timeTextFor } from "./panels";
import type { TimeText } from "./panels";
import type { Drawn, Opened } from "./protocol";
import { Timeline } from "./timeline";
import { addressText, bytesText, countText, numberText, shareText } from "./words";

/** What `snug view` says of the trace. */
export interface About {
  readonly name: string;
  readonly notes: readonly string[];
  /** Names of frames that the trace does not have, by number. */
  readonly frames: Readonly<Record<string, string>>;
}

type Tab = "block" | "sizes" | "pins" | "stacks";

const TABS: Record<Tab, string> = { block: "Block", sizes: "Sizes", pins: "Pins", stacks: "Stacks" };
const COLOURINGS: readonly Colouring[] = ["size", "age", "thread", "site", "stack"];
const OF_STACKS: ReadonlySet<Colouring> = new Set(["site", "stack"]);
const EVERYTHING = { stack: ALL_STACKS, label: "" };
const PANEL_EVERY = 250; // milliseconds, while the moment moves
const PANEL_SHARE = 5; // and so many times what the last one took: the map comes first
const KEYS: readonly (readonly [string, string])[] = [
  ["space", "play, pause"],
  ["← →", "one event back, forward"],
  ["shift ← →", "a hundredth of the slider back, forward"],
  ["home end", "the beginning, the end"],
  ["P", "the peak of live bytes"],
  ["+ −", "zoom in, zoom out; also the wheel, and double click"],
  ["0", "the whole heap"],
  ["↑ ↓", "move the map; also drag"],
  ["C", "the next colouring"],
  ["1 2 3 4", "block, sizes, pins, stacks"],
  ["T", "light, dark"],
  ["Esc", "clear the selection, show the blocks of all stacks"],
  ["wheel on the curves", "zoom in time, down to single events; double click: all"],
];

export class App {
  private readonly map: MapView | null;
  private readonly timeline: Timeline;
  private readonly timeText: TimeText;
  private readonly select = byId<HTMLSelectElement>("colouring");
  private readonly draws: Newest<null>;
  private readonly panels: Newest<null>;
  private palette = new Palette("light");
  private tab: Tab = "sizes";
  private chosen: number | null = null;
  private pinnedKey: number | null = null;
  /** The frame of the flame graph whose blocks are shown. */
  private within = ALL_STACKS;
  private panelTimer = 0;
  private panelPause = PANEL_EVERY;

  constructor(
    private readonly client: Client,
    private readonly opened: Opened,
    about: About,
  ) {
    this.timeText = timeTextFor(opened.ticksPerSecond);
    this.draws = new Newest(() => this.draw());
    this.panels = new Newest(() => this.showPanel());
    this.introduce(about);
    this.applyTheme();
    this.map = opened.hasAddresses ? this.makeMap() : null;
    this.timeline = new Timeline(opened, {
      moved: () => this.changed(),
      curves: (from, to, points) => client.ask("curves", { from, to, points }),
    });
    this.makeTabs();
    this.listen();
    this.timeline.go(startFrom(location.hash) ?? opened.peak.now);
  }

  private get theme(): Theme {
    return document.documentElement.dataset.theme as Theme;
  }

  private get colouring(): Colouring {
    return this.select.value as Colouring;
  }

  private introduce({ name, notes }: About): void {
    const { opened } = this;
    document.title = `${name} – snug view`;
    byId("name").textContent = name;
    const program = opened.about.find(([key]) => key === "program")?.[1];
    byId("summary").textContent = [
      program,
      countText(opened.events, "event"),
      countText(opened.blocks, "block"),
    ]
      .filter(Boolean)
      .join(", ");
    const all = opened.damage ? [...notes, opened.damage] : notes;
    byId("notes").replaceChildren(...all.map((note) => make("li", {}, note)));
    byId("notes").hidden = !all.length;
    byId("keys").append(make("h2", {}, "Keys"), terms(KEYS));
    if (!opened.hasStacks) for (const one of OF_STACKS) this.select.querySelector(`[value=${one}]`)?.remove();
  }

  private makeMap(): MapView {
    return new MapView(this.opened, {
      changed: () => this.changed(),
      hovered: (offset, x, y) => this.hover(offset, x, y),
      chosen: (offset) => this.choose(offset),
    });
  }

  private makeTabs(): void {
    const { hasAddresses, hasStacks, isSampled } = this.opened;
    const tabs: Tab[] = [
      ...(hasAddresses ? (["block"] as const) : []),
      "sizes",
      ...(hasAddresses && !isSampled ? (["pins"] as const) : []), // else not all blocks of a page are known
    ];
    if (hasStacks) tabs.push("stacks");
    byId("tabs").replaceChildren(
      ...tabs.map((tab) =>
        make(
          "button",
          { type: "button", role: "tab", id: `tab-${tab}`, click: () => this.openTab(tab) },
          TABS[tab],
        ),
      ),
    );
    if (!hasAddresses) this.explainNoMap();
    this.openTab("sizes");
  }

  private explainNoMap(): void {
    document.body.classList.add("without-map");
    byId("no-map").hidden = false;
    byId("no-map").textContent =
      "This trace has no addresses, so there is no map of the heap, only curves and sizes.";
  }

  private openTab(tab: Tab): void {
    if (!document.getElementById(`tab-${tab}`)) return;
    this.tab = tab;
    for (const button of byId("tabs").children) {
      button.setAttribute("aria-selected", String(button.id === `tab-${tab}`));
    }
    if (tab !== "pins") this.unpin();
    document.body.classList.toggle("wide-panel", tab === "stacks");
    this.panels.want(null);
  }

  private applyTheme(): void {
    this.palette = new Palette(this.theme);
    byId("legend").replaceChildren(
      this.opened.hasAddresses
        ? legend(this.opened, this.colouring, this.palette, this.within !== ALL_STACKS)
        : "",
    );
  }

  private switchTheme(): void {
    document.documentElement.dataset.theme = this.theme === "light" ? "dark" : "light";
    this.applyTheme();
    this.timeline.build();
    this.changed();
  }

  private recolour(): void {
    this.applyTheme();
    this.changed();
  }

  private nextColouring(): void {
    const usable = COLOURINGS.filter((one) => this.opened.hasStacks || !OF_STACKS.has(one));
    this.select.value = usable[(usable.indexOf(this.colouring) + 1) % usable.length]!;
    this.recolour();
  }

  /** The moment or the view is another. */
  private changed(): void {
    if (!this.timeline) return; // while it is made
    this.draws.want(null);
    if (this.panelTimer) return;
    this.panelTimer = window.setTimeout(() => {
      this.panelTimer = 0;
      this.panels.want(null);
    }, this.panelPause);
  }

  private async draw(): Promise<void> {
    const view = this.map?.view ?? { start: 0, cell: 1, columns: 1, rows: 1, edge: 1 };
    const { now } = this.timeline;
    const { colouring, theme, within } = this;
    const drawn = await this.client.ask("draw", { now, view, colouring, theme, within });
    this.map?.show(drawn);
    if (this.map) byId("where").textContent = this.map.whereText();
    this.showFigures(drawn);
    await new Promise(requestAnimationFrame);
  }

  private showFigures(drawn: Drawn): void {
    const { opened } = this;
    const figure = (name: string, term: string, value: string): HTMLElement =>
      make("div", { class: name }, make("dt", {}, term), make("dd", {}, value));
    const rows = [
      figure("live", opened.isSampled ? "live, of the sampled blocks" : "live", bytesText(drawn.liveBytes)),
    ];
    if (opened.hasAddresses) {
      const share = drawn.occupied ? shareText(drawn.liveBytes / drawn.occupied) : "–";
      rows.push(
        figure("occupied", "pages with live blocks", bytesText(drawn.occupied)),
        figure(
          "touched",
          opened.tellsGivenBack ? "resident, as far as known" : "pages used so far",
          bytesText(drawn.touched),
        ),
        figure("share", "of these pages live", share),
      );
    }
    if (opened.tellsTaken) rows.push(figure("taken", "taken from the system", bytesText(drawn.taken)));
    rows.push(figure("blocks", "blocks", numberText(drawn.liveBlocks)));
    byId("figures").replaceChildren(...rows);
    byId("event").textContent = this.eventText(drawn);
  }

  private eventText({ now, last }: Drawn): string {
    const place = `Event ${numberText(now)} of ${numberText(this.opened.events)}`;
    if (!last) return `${place}: nothing has happened yet`;
    const said = [last.size === null ? last.name : `${last.name} of ${bytesText(last.size)}`];
    if (last.address !== null) said.push(`at ${addressText(last.address)}`);
    said.push(`by ${last.thread}`);
    if (last.time !== null) said.push(`after ${this.timeText(last.time)}`);
    return `${place}: ${said.join(" ")}`;
  }

  private async showPanel(): Promise<void> {
    const { now } = this.timeline;
    const panel = byId("panel");
    const begun = performance.now();
    const made = await this.makePanel(now);
    this.panelPause = Math.max(PANEL_EVERY, PANEL_SHARE * (performance.now() - begun));
    panel.dataset.now = String(now);
    // What says the same stays: a click on an element that is replaced while it is pressed would be lost.
    if (panel.firstElementChild?.isEqualNode(made)) return;
    const { scrollTop } = panel;
    panel.replaceChildren(made);
    panel.scrollTop = scrollTop;
  }

  private async makePanel(now: number): Promise<HTMLElement> {
    const { client } = this;
    switch (this.tab) {
      case "block": {
        const found = this.chosen === null ? null : await client.ask("look", { now, offset: this.chosen });
        this.map?.select(found && [found.offset, found.size]);
        return blockPanel(found, now, this.timeText, {
          choose: (offset) => this.choose(offset),
          reveal: (offset, size) => this.map?.reveal(offset, size),
          go: (moment) => this.timeline.go(moment),
        });
      }
      case "sizes":
        return sizesPanel(await client.ask("sizes", { now }), this.opened.hasAddresses);
      case "pins": {
        const ledger = await client.ask("pins", { now });
        if (this.pinnedKey !== null) this.map?.pin(await client.ask("pinned", { now, key: this.pinnedKey }));
        return pinsPanel(ledger, this.pinnedKey, ({ key }) => {
          this.pinnedKey = key === this.pinnedKey ? null : key;
          if (this.pinnedKey === null) this.map?.pin([]);
          this.panels.want(null);
        });
      }
      case "stacks": {
        const nodes = await client.ask("flame", { now, root: this.within });
        return flamePanel(nodes, this.within, this.opened.hasAddresses, (node) => this.showWithin(node));
      }
    }
  }

  private choose(offset: number): void {
    this.chosen = offset;
    this.openTab("block");
  }

  /** Show the blocks of a frame of the flame graph only; of all if it is the one around all. */
  private showWithin({ stack, label }: Pick<FlameNode, "stack" | "label">): void {
    this.within = stack;
    const chip = byId("within");
    chip.hidden = stack === ALL_STACKS;
    chip.textContent = `only ${label} ×`;
    this.recolour();
    this.panels.want(null);
  }

  private unpin(): void {
    this.pinnedKey = null;
    this.map?.pin([]);
  }

  private forget(): void {
    this.chosen = null;
    this.unpin();
    this.showWithin(EVERYTHING);
    this.map?.select(null);
    this.panels.want(null);
  }

  private async hover(offset: number | null, x: number, y: number): Promise<void> {
    const tip = byId("tip");
    const { now } = this.timeline;
    const found = offset === null ? null : await this.client.ask("look", { now, offset });
    tip.hidden = !found;
    if (!found) return;
    tip.replaceChildren(...this.tipLines(found, now).map((line) => make("div", {}, line)));
    const { offsetWidth, offsetHeight } = tip;
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - offsetWidth - 8))}px`;
    tip.style.top = `${y + 18 + offsetHeight > innerHeight ? y - offsetHeight - 10 : y + 18}px`;
  }

  private tipLines(found: Found, now: number): string[] {
    const lines = [`${bytesText(found.size)}, ${found.state}`, addressText(found.address)];
    if (found.state === "live") {
      lines.push(`${found.thread}, ${countText(now - found.born, "event")} old`);
      if (found.frames[0]) lines.push(found.frames[0]);
    } else if (found.died !== null) {
      lines.push(`free for ${countText(now - found.died, "event")}`);
    }
    return lines;
  }

  private listen(): void {
    this.select.addEventListener("change", () => this.recolour());
    byId("theme").addEventListener("click", () => this.switchTheme());
    byId("help").addEventListener("click", () => this.help());
    byId("within").addEventListener("click", () => this.showWithin(EVERYTHING));
    byId("keys").addEventListener("click", () => byId<HTMLDialogElement>("keys").close());
    byId("zoom-in").addEventListener("click", () => this.map?.zoom(true));
    byId("zoom-out").addEventListener("click", () => this.map?.zoom(false));
    byId("zoom-all").addEventListener("click", () => this.map?.whole());
    window.addEventListener("keydown", (event) => this.onKey(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ({ matches }) => {
      if ((this.theme === "dark") !== matches) this.switchTheme();
    });
  }

  private help(): void {
    byId<HTMLDialogElement>("keys").showModal();
  }

  private onKey(event: KeyboardEvent): void {
    const isTyping = event.target instanceof HTMLSelectElement || byId<HTMLDialogElement>("keys").open;
    const isScrolling = byId("panel").contains(event.target as Node) && /^Arrow(Up|Down)$/.test(event.key);
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping || isScrolling) return;
    const does = this.actionOf(event);
    if (!does) return;
    event.preventDefault();
    does();
  }

  private actionOf({ key, shiftKey, target }: KeyboardEvent): (() => void) | undefined {
    const { timeline, map } = this;
    const isButton = target instanceof HTMLButtonElement;
    const actions: Record<string, () => void> = {
      ArrowLeft: () => (shiftKey ? timeline.leap(-1) : timeline.step(-1)),
      ArrowRight: () => (shiftKey ? timeline.leap(1) : timeline.step(1)),
      Home: () => timeline.go(0),
      End: () => timeline.go(this.opened.events),
      ArrowUp: () => map?.scroll(-4),
      ArrowDown: () => map?.scroll(4),
      "+": () => map?.zoom(true),
      "=": () => map?.zoom(true),
      "-": () => map?.zoom(false),
      "0": () => map?.whole(),
      "1": () => this.openTab("block"),
      "2": () => this.openTab("sizes"),
      "3": () => this.openTab("pins"),
      "4": () => this.openTab("stacks"),
      "?": () => this.help(),
      Escape: () => this.forget(),
      c: () => this.nextColouring(),
      p: () => timeline.go(this.opened.peak.now),
      t: () => this.switchTheme(),
    };
    if (!isButton) actions[" "] = () => timeline.togglePlay();
    return actions[key.length === 1 ? key.toLowerCase() : key];
  }
}

/** The moment that the address of the page names, as `#event=12`. */
function startFrom(hash: string): number | null {
  const found = /event=(\d+)/.exec(hash);
  return found ? Number(found[1]) : null;
}
