/** Begins: reads the session that `snug view --demo` put into the page, and shows it. */
import { byId } from "../dom";
import "../base.css";
import { Demo } from "./demo";
import type { Session } from "./session";
import "./demo.css";

const root = document.documentElement;
root.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
new Demo(JSON.parse(byId("demo-data").textContent ?? "") as Session);
root.dataset.state = "ready";
