/** Owns the legend: what each colour on the map says. */
import { make } from "./dom";
import { css, KINDS, LARGEST_SIZE, SMALLEST_SIZE } from "./palette";
import type { Colouring, Palette } from "./palette";
import type { Kind } from "./kinds";
import type { Opened } from "./protocol";
import { bytesText } from "./words";

/** The legend of a map. */
export function legend(
  opened: Opened,
  colouring: Colouring,
  palette: Palette,
  isFiltered: boolean,
): HTMLElement {
  const parts = make("ul", { class: "legend" });
  const add = (...children: (Node | string)[]): void => parts.append(make("li", {}, ...children));
  if (colouring === "size") {
    add("live, by size: ", `${bytesText(SMALLEST_SIZE)} `, ramp(palette.ramp), ` ${bytesText(LARGEST_SIZE)}`);
  } else if (colouring === "age") {
    add("live, by age in events: new ", ramp(palette.ramp), " old");
  } else {
    const kinds = { thread: opened.threads, site: opened.sites, stack: opened.stacks };
    addKinds(add, kinds[colouring], palette);
  }
  add(make("span", { class: "swatch hatched" }), " zoomed in: headers, padding");
  if (isFiltered) add(swatch(palette.aside), " live, of other stacks");
  add("free: just now ", ramp(palette.freed), " long ago");
  add(swatch(palette.never), " never part of a block");
  if (opened.tellsGivenBack) add(swatch(palette.back), " given back to the system");
  else add("the trace does not say what was given back");
  if (opened.isSampled) add("a sampled trace: the map has the sampled blocks only");
  return parts;
}

function addKinds(
  add: (...children: (Node | string)[]) => void,
  kinds: readonly Kind[],
  palette: Palette,
): void {
  add("live, by who allocated most:");
  for (const [kind, { label, bytes }] of kinds.entries()) {
    const name = make("span", { class: "kind", title: label }, label);
    add(swatch(palette.kinds[Math.min(kind, KINDS)]!), " ", name, `, ${bytesText(bytes)}`);
  }
}

function swatch(colour: number): HTMLElement {
  return make("span", { class: "swatch", style: `background: ${css(colour)}` });
}

function ramp(colours: Uint32Array): HTMLElement {
  const stops = [0, 0.25, 0.5, 0.75, 1].map((share) => css(colours[Math.round(share * (colours.length - 1))]!));
  return make("span", { class: "ramp", style: `background: linear-gradient(to right, ${stops.join(", ")})` });
}
