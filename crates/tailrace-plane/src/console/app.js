// The console: asks `/live` once a second and brings the page up to date.
//
// The failure prevented: a page that shows old figures as if they were new. Whatever goes wrong is
// said at the top; what is on screen is of one sample; there is one request at a time, whoever is
// slow.

import { el, mark, say } from "./dom.js";
import { Samples, SPAN_S, rate } from "./figures.js";
import { Lab } from "./lab.js";
import { Limits } from "./limits.js";
import { Requests } from "./requests.js";
import { Degraded, Tiles, Upstreams, Views } from "./tables.js";
import { Topology } from "./topology.js";

const PERIOD_MS = 1000;
// A second sample makes rates of the first; it need not be a second late.
const SECOND_SAMPLE_MS = 300;
const PATIENCE_MS = 5000;
const PAGES = ["overview", "requests", "limits"];
const at = (id) => document.getElementById(id);

/** The admin token, from the address the demo printed; kept for this tab and taken off the address. */
function takeToken() {
  const given = /^#token=([!-~]{16,})$/.exec(location.hash);
  if (given) {
    sessionStorage.setItem("tailrace-token", given[1]);
    history.replaceState(null, "", `${location.pathname}#/overview`);
  }
  return () => sessionStorage.getItem("tailrace-token") ?? "";
}

/** The port did not answer, or refused; the message is for people. */
class Unanswered extends Error {}

/** JSON of this port; throws `Unanswered`. */
async function ask(path, token, body) {
  const headers = body ? { "content-type": "application/json", authorization: `Bearer ${token}` } : {};
  const options = { headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) };
  if (body) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  let response, text;
  try {
    response = await fetch(path, options);
    text = await response.text();
  } catch (error) {
    throw new Unanswered(error.name === "TimeoutError" ? "timed out" : "not reached");
  }
  const json = response.headers.get("content-type")?.startsWith("application/json");
  const answer = json ? JSON.parse(text) : null;
  if (!response.ok) throw new Unanswered(answer?.error ?? (text.trim() || `status ${response.status}`));
  return answer;
}

class Console {
  constructor() {
    this.samples = new Samples();
    this.token = takeToken();
    this.paused = false;
    this.failed = 0;
    const get = (path) => ask(path);
    const post = (path, body) => ask(path, this.token(), body);
    this.lab = new Lab(get, post, () => Boolean(this.token()));
    this.topology = new Topology();
    this.requests = new Requests(get);
    this.limits = new Limits(get);
    this.tables = [new Tiles(), this.lab, this.topology, new Views(), new Upstreams(), new Degraded()];
    at("overview").append(...this.tables.map((one) => one.node));
    at("requests").append(this.requests.node);
    at("limits").append(this.limits.node);
    this.listen();
    this.show();
  }

  listen() {
    addEventListener("hashchange", () => this.show());
    addEventListener("resize", () => this.topology.draw());
    document.addEventListener("visibilitychange", () => document.hidden || this.soon(0));
    document.addEventListener("keydown", (event) => this.press(event));
    at("pause").addEventListener("click", () => this.pause());
    at("theme").addEventListener("click", () => this.turn());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.dress());
    this.dress();
  }

  press(event) {
    // Sliders and choices take arrows, not letters: whoever has just broken an upstream stands there.
    const typing = event.target.closest?.("input:not([type=range], [type=radio]), select, textarea");
    if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
    if (event.key === "p") this.pause();
    if (event.key === "t") this.turn();
    const link = document.querySelectorAll("nav a:not([hidden])")[Number(event.key) - 1];
    if (/^[1-9]$/.test(event.key) && link) location.hash = link.getAttribute("href");
  }

  pause() {
    this.paused = !this.paused;
    mark(at("pause"), "aria-pressed", String(this.paused));
    say(at("pause"), this.paused ? "Go on" : "Pause");
    this.head();
    this.soon(0);
  }

  turn() {
    localStorage.setItem("tailrace-theme", this.isDark() ? "light" : "dark");
    this.dress();
  }

  isDark() {
    const chosen = localStorage.getItem("tailrace-theme");
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  dress() {
    mark(document.documentElement, "data-theme", localStorage.getItem("tailrace-theme"));
    say(at("theme"), this.isDark() ? "Light" : "Dark");
  }

  /** The page that the address names. */
  show() {
    const [, page, rest] = /^#\/(\w+)(?:\/(.*))?$/.exec(location.hash) ?? [];
    this.page = PAGES.includes(page) ? page : "overview";
    for (const one of PAGES) at(one).hidden = one !== this.page;
    for (const link of document.querySelectorAll("nav a")) {
      mark(link, "aria-current", link.dataset.page === this.page ? "page" : null);
    }
    if (this.page === "requests") this.requests.open(rest ?? "");
    this.update();
    this.soon(0);
  }

  soon(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.tick(), ms);
  }

  async tick() {
    if (this.asking || this.paused || document.hidden) return;
    this.asking = true;
    try {
      await this.look();
      this.failed = 0;
    } catch (error) {
      this.failed += 1;
      this.error = error;
      // A mistake of the page itself must not look like a service that is silent.
      if (!(error instanceof Unanswered)) reportError(error);
    }
    this.asking = false;
    this.head();
    const first = this.samples.kept.length === 1;
    this.soon(this.failed ? Math.min(5, this.failed) * PERIOD_MS : first ? SECOND_SAMPLE_MS : PERIOD_MS);
  }

  async look() {
    this.samples.push(await ask("/live"));
    this.update();
    if (this.samples.kept.at(-1).lab) await this.lab.look();
    if (this.page === "requests") await this.requests.look();
    if (this.page === "limits") await this.limits.look(this.samples.figures());
  }

  update() {
    const figures = this.samples.figures();
    if (!figures) return;
    this.head();
    if (this.page === "overview") for (const one of this.tables) one.update(figures);
  }

  head() {
    const now = this.samples.kept.at(-1);
    const phase = at("phase");
    if (this.failed > 1 || (this.failed && !now)) {
      const silent = this.error instanceof Unanswered;
      say(phase, `${silent ? "no answer" : "the console failed"}: ${this.error.message}`);
      mark(phase, "data-state", "bad");
      return;
    }
    if (!now) return;
    const state = now.protections === "off" ? "protections off" : this.paused ? "paused" : now.phase;
    say(phase, state);
    mark(phase, "data-state", state === "running" ? "ok" : "warn");
    say(at("service"), now.service);
    // Receipts may be off, and then there is nothing to show.
    document.querySelector('[data-page="requests"]').hidden = !now.receipts;
    document.title = `${now.service} · tailrace console`;
    const workers = now.workers === 1 ? "1 worker" : `${now.workers} workers`;
    say(at("about"), `${workers} · revision ${now.revision} · up ${age(now.epoch_ms - now.started_epoch_ms)}`);
    const { seconds } = this.samples.figures();
    const stretch = this.samples.kept.length > 1 ? `the last ${rate(Math.min(seconds, SPAN_S))} s` : "all since the start";
    say(at("method"), `Figures: ${stretch}, all workers. Percentiles are upper bounds, at most an eighth too high.`);
  }
}

function age(ms) {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `${Math.floor(ms / 1000)} s`;
  if (minutes < 120) return `${minutes} min`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} days`;
}

new Console();
