// Finished requests, and one of them as a waterfall: what each part waited for, which attempts were
// made, which decided, and where the deadline was. Read from `/receipts`; hidden where there is none.

import { el, keyed, mark, say, section, table } from "./dom.js";
import { duration } from "./figures.js";

const SHOWN = 100;

export class Requests {
  constructor(get) {
    this.get = get;
    this.list = [];
    const { box, body } = table("Finished requests", [
      ["At", null],
      ["View", null],
      ["Status", null, "n"],
      ["Took", "Of the deadline", "n"],
      ["Missing", "Parts that are not from their upstream, and why"],
      ["Held up by", "The last part on the critical path"],
    ]);
    this.body = body;
    this.view = el("select", { id: "receipt-view", change: () => this.update() });
    this.only = el("select", { id: "receipt-kind", change: () => this.update() });
    const kinds = [["all", "all"], ["degraded", "degraded"], ["failed", "failed"], ["slow", "over half of the deadline"]];
    this.only.append(...kinds.map(([value, words]) => el("option", { value }, words)));
    const choosers = [
      el("label", { for: "receipt-view", class: "quiet" }, "View ", this.view),
      el("label", { for: "receipt-kind", class: "quiet" }, "Only ", this.only),
    ];
    this.none = el("p", { class: "quiet none" }, "No such request yet.");
    this.fall = el("div", { class: "fall" });
    const list = section("receipts", "Finished requests", choosers, this.none, box);
    this.one = section("waterfall", "One request", null, this.fall);
    this.one.hidden = true;
    this.node = el("div", {}, this.one, list);
  }

  open(key) {
    this.key = decodeURIComponent(key);
    this.update();
  }

  async look() {
    this.list = read(await this.get("/receipts"));
    const views = ["all views", ...new Set(this.list.map((one) => one.view))];
    if (this.view.options.length !== views.length) {
      const chosen = this.view.value;
      this.view.replaceChildren(...views.map((name, index) => el("option", { value: index ? name : "" }, name)));
      this.view.value = views.includes(chosen) ? chosen : "";
    }
    this.update();
  }

  update() {
    const kinds = {
      degraded: (one) => one.missing.length > 0,
      failed: (one) => one.status >= 500,
      slow: (one) => one.duration_ms > one.deadline_ms / 2,
    };
    const wanted = kinds[this.only.value] ?? (() => true);
    const rows = this.list.filter((one) => (!this.view.value || one.view === this.view.value) && wanted(one));
    this.none.hidden = rows.length > 0;
    keyed(this.body, rows.slice(0, SHOWN), (one) => one.key, (one) => this.row(one), (node, one) => {
      mark(node, "aria-selected", one.key === this.key ? "true" : null);
    });
    const chosen = this.list.find((one) => one.key === this.key) ?? (this.shown?.key === this.key ? this.shown : null);
    this.one.hidden = !chosen;
    if (chosen && chosen !== this.shown) this.draw(chosen);
  }

  row(one) {
    const time = new Date(one.epoch_ms).toLocaleTimeString("en-GB");
    const link = el("a", { href: `#/requests/${encodeURIComponent(one.key)}` }, time);
    const took = el("td", { class: "n" }, `${duration(one.duration_ms)} of ${duration(one.deadline_ms)}`);
    if (one.duration_ms > one.deadline_ms / 2) mark(took, "data-state", "warn");
    const missing = one.missing.map(({ name, why }) => `${name} (${why})`).join(", ");
    const status = el("td", { class: "n", "data-state": one.status >= 500 ? "bad" : null }, one.status);
    return el("tr", {}, el("th", { scope: "row" }, link), el("td", {}, el("bdi", {}, one.view)), status, took,
      el("td", {}, el("bdi", {}, missing || "–")), el("td", {}, el("bdi", {}, one.held_up_by ?? "–")));
  }

  draw(one) {
    this.shown = one;
    const end = Math.max(one.duration_ms, one.deadline_ms) * 1.04;
    const place = (node, from, to) => {
      node.style.setProperty("--from", `${(100 * from) / end}%`);
      node.style.setProperty("--to", `${(100 * Math.max(to, from)) / end}%`);
      return node;
    };
    const bar = (kind, from, to, about) => place(el("span", { class: `bar ${kind}`, title: about }), from, to);
    const lane = (part) => {
      const node = el("div", { class: "lane", role: "img", "aria-label": part.words });
      for (const wait of part.waits) node.append(bar(`wait ${wait.kind}`, wait.from, wait.to, `${wait.words} ${duration(wait.to - wait.from)}`));
      for (const each of part.attempts) node.append(bar(each.kind, each.from, each.to, each.words));
      return node;
    };
    const rows = one.parts.flatMap((part) => [
      el("div", { class: `part-name ${part.held ? "held" : ""}` }, el("bdi", {}, part.name), el("span", { class: "quiet" }, part.strength ?? "")),
      lane(part),
      el("div", { class: "part-end", "data-state": part.failed ? "bad" : null }, part.failed ?? duration(part.end - part.begin)),
    ]);
    const head = el("p", {}, el("strong", {}, el("bdi", {}, one.view)), ` ${one.status} ${one.code ?? ""} · ${duration(one.duration_ms)} of ${duration(one.deadline_ms)} · `, el("code", {}, one.id));
    const line = (kind, at, words) => place(el("div", { class: `mark ${kind}` }, el("span", {}, words)), at, at);
    const marks = el("div", { class: "marks" }, line("reply", one.duration_ms, `reply ${duration(one.duration_ms)}`), line("deadline", one.deadline_ms, `deadline ${duration(one.deadline_ms)}`));
    const key = el("p", { class: "quiet key" }, ["wait", "attempt", "hedge", "lost"].map((kind) => el("span", {}, el("i", { class: `bar ${kind}` }), KEY[kind])));
    const bill = el("dl", { class: "bill" }, one.bill.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
    this.fall.replaceChildren(head, el("div", { class: "lanes" }, rows, marks), key, bill);
  }
}

const KEY = { wait: "waits", attempt: "attempt that decided", hedge: "hedge", lost: "failed or cancelled" };

/** Receipts as they come, newest first, in the page's own words. */
function read({ receipts }) {
  return receipts.map((one) => ({ ...one, missing: [], parts: [], bill: [] }));
}
