/** Begins: reads what `snug view` put into the page, and opens it. */
import { App } from "./app";
import type { About } from "./app";
import { Client } from "./client";
import { byId } from "./dom";
import "./base.css";
import "./style.css";

const root = document.documentElement;
root.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
root.dataset.state = "opening";

async function open(): Promise<void> {
  const client = new Client((share, what) => {
    byId<HTMLProgressElement>("opening-bar").value = share;
    byId("opening-text").textContent = `Opening: ${what}`;
  });
  const about = JSON.parse(byId("about-data").textContent ?? "") as About;
  const data = byId("trace-data");
  const opened = client.ask("open", { base64: (data.textContent ?? "").trim(), frames: about.frames });
  data.remove();
  new App(client, await opened, about);
  byId("opening").hidden = true;
  root.dataset.state = "ready";
}

open().catch((error: unknown) => {
  byId("opening-text").textContent = `This page cannot show its trace: ${(error as Error).message}`;
  byId("opening-bar").hidden = true;
  root.dataset.state = "failed";
});
