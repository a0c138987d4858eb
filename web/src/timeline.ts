/** Owns the moment that is shown: the slider, playing, and the curves with a cursor at it. */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Curves } from "./curves";
import { byId, make, Newest } from "./dom";
import type { Opened } from "./protocol";
import { bytesMark, numberText } from "./words";

const POWERS = Array.from({ length: 50 }, (_, power) => 2 ** power);
const HEADROOM = 1.06;
const LEAST_EVENTS = 20;
const ZOOM = 1.5;
const PART = 1 / 100;

export interface TimelineEvents {
  moved(now: number): void;
  curves(from: number, to: number, points: number): Promise<Curves>;
}

export class Timeline {
  now = 0;
  private readonly slider = byId<HTMLInputElement>("slider");
  private readonly element = byId("curves");
  private readonly cursor = make("div", { class: "cursor" });
  private readonly playButton = byId<HTMLButtonElement>("play");
  private plot: uPlot | null = null;
  private curves: Curves;
  private from = 0;
  private to: number;
  private frame = 0;
  private readonly redraw: Newest<[number, number]>;

  constructor(
    private readonly opened: Opened,
    private readonly events: TimelineEvents,
  ) {
    this.curves = opened.curves;
    this.to = opened.events;
    this.redraw = new Newest(async ([from, to]) => {
      this.curves = await this.events.curves(from, to, Math.max(200, Math.round(this.element.clientWidth)));
      this.plot?.setData(this.data());
      this.place();
    });
    this.listen();
    this.build();
    new ResizeObserver(() => this.fit()).observe(this.element);
    this.setRange(0, opened.events);
  }

  /** Go to a moment; playing stops. */
  go(now: number): void {
    this.stop();
    this.move(now);
  }

  /** Go on or back by so many events. */
  step(events: number): void {
    this.go(this.now + events);
  }

  /** Go on or back by a hundredth of what the slider shows. */
  leap(sign: number): void {
    this.step(sign * Math.max(1, Math.round((this.to - this.from) * PART)));
  }

  togglePlay(): void {
    if (this.frame) this.stop();
    else this.play();
  }

  /** Draw the curves again, in the colours that hold now. */
  build(): void {
    this.plot?.destroy();
    this.element.replaceChildren();
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(name).trim();
    const text = { stroke: colour("--soft"), font: "11px system-ui, sans-serif" };
    const lines = {
      grid: { stroke: colour("--grid"), width: 1 },
      ticks: { stroke: colour("--grid"), width: 1, size: 4 },
    };
    const { hasAddresses, tellsTaken } = this.opened;
    this.plot = new uPlot(
      {
        ...this.extent(),
        padding: [8, 28, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
        scales: {
          x: { time: false, range: () => [this.from, Math.max(this.from + 1, this.to)] },
          y: { range: (_plot, _least, most) => [0, Math.max(1, most * HEADROOM)] },
        },
        axes: [
          { ...text, ...lines, size: 26, values: (_plot, values) => values.map(numberText) },
          {
            ...text,
            ...lines,
            size: 54,
            space: 22,
            incrs: POWERS,
            values: (_plot, values) => values.map(bytesMark),
          },
        ],
        series: [
          {},
          { show: tellsTaken, stroke: colour("--taken"), width: 1.25, points: { show: false } },
          { show: hasAddresses, stroke: colour("--touched"), width: 1.25, points: { show: false } },
          { show: hasAddresses, stroke: colour("--occupied"), width: 1.25, points: { show: false } },
          { stroke: colour("--live"), fill: colour("--live-area"), width: 1.5, points: { show: false } },
        ],
      },
      this.data(),
      this.element,
    );
    this.plot.over.append(this.cursor);
    this.listenToPlot(this.plot.over);
    this.place();
  }

  private data(): uPlot.AlignedData {
    const { at, live, occupied, touched, taken } = this.curves;
    return [at, taken, touched, occupied, live];
  }

  private extent(): { width: number; height: number } {
    return { width: Math.max(160, this.element.clientWidth), height: Math.max(80, this.element.clientHeight) };
  }

  private fit(): void {
    this.plot?.setSize(this.extent());
    this.place();
    this.redraw.want([this.from, this.to]);
  }

  private move(now: number): void {
    this.now = Math.max(0, Math.min(this.opened.events, Math.round(now)));
    if (this.now < this.from || this.now > this.to) this.follow();
    this.slider.value = String(this.now);
    this.place();
    this.events.moved(this.now);
  }

  /** Let what the slider shows go along with the moment. */
  private follow(): void {
    const length = this.to - this.from;
    this.setRange(this.now - length / 2, this.now + length / 2);
  }

  private setRange(from: number, to: number): void {
    const { events } = this.opened;
    const length = Math.min(events, Math.max(LEAST_EVENTS, Math.round(to - from)));
    this.from = Math.max(0, Math.min(events - length, Math.round(from)));
    this.to = this.from + length;
    this.slider.min = String(this.from);
    this.slider.max = String(this.to);
    this.slider.value = String(this.now);
    this.redraw.want([this.from, this.to]);
  }

  private zoom(factor: number, about: number): void {
    const share = (about - this.from) / Math.max(1, this.to - this.from);
    const length = (this.to - this.from) * factor;
    this.setRange(about - share * length, about + (1 - share) * length);
  }

  private place(): void {
    const left = this.plot?.valToPos(this.now, "x") ?? 0;
    this.cursor.style.transform = `translateX(${left}px)`;
  }

  private listen(): void {
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.playButton.addEventListener("click", () => this.togglePlay());
    byId("back").addEventListener("click", () => this.step(-1));
    byId("forward").addEventListener("click", () => this.step(1));
    byId("to-peak").addEventListener("click", () => this.go(this.opened.peak.now));
  }

  private listenToPlot(over: HTMLElement): void {
    const eventAt = (event: MouseEvent): number =>
      this.plot?.posToVal(event.clientX - over.getBoundingClientRect().left, "x") ?? 0;
    over.addEventListener("pointerdown", (event) => {
      over.setPointerCapture(event.pointerId);
      this.go(eventAt(event));
    });
    over.addEventListener("pointermove", (event) => {
      if (event.buttons) this.go(eventAt(event));
    });
    over.addEventListener("dblclick", () => this.setRange(0, this.opened.events));
    over.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(event.deltaY < 0 ? 1 / ZOOM : ZOOM, eventAt(event));
      },
      { passive: false },
    );
  }

  private play(): void {
    if (this.now >= this.opened.events) this.move(this.from);
    this.playButton.textContent = "❚❚";
    this.playButton.setAttribute("aria-label", "Pause");
    let exact = this.now;
    let before = performance.now();
    const go = (time: number): void => {
      exact += this.eventsASecond() * Math.max(0, time - before) * 1e-3;
      before = time;
      if (Math.round(exact) !== this.now) this.move(exact);
      if (this.now >= this.opened.events) this.stop();
      else this.frame = requestAnimationFrame(go);
    };
    this.frame = requestAnimationFrame(go);
  }

  private stop(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.playButton.textContent = "▶";
    this.playButton.setAttribute("aria-label", "Play");
  }

  private eventsASecond(): number {
    const [kind, amount] = byId<HTMLSelectElement>("speed").value.split(":");
    return kind === "whole" ? this.opened.events / Number(amount) : Number(amount);
  }
}
