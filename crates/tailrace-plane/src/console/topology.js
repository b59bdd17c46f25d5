// The service as it is called now: service, views, parts, upstreams, and the traffic between them.
// Cards are HTML, so that names wrap, are selected and read; the lines lie behind them.

import { el, keyed, mark, say, section, svg } from "./dom.js";
import { duration, grade, rate, share } from "./figures.js";

// More parts than this, and one view is shown at a time.
const PARTS_MAX = 24;
const COLUMNS = ["service", "views", "parts", "upstreams"];

function card(kind, name, detail) {
  const node = el("div", { class: `card ${kind}`, title: name }, el("bdi", { class: "name" }, name));
  node.rows = ["figures", "why"].map((one) => el("div", { class: one }));
  if (detail) node.append(el("div", { class: "quiet" }, detail));
  node.append(...node.rows);
  return node;
}

export class Topology {
  constructor() {
    this.lines = svg("svg", { "aria-hidden": "true", class: "lines" });
    const column = (name) => el("div", { class: "column" }, el("h3", {}, name), el("div", { class: "cards" }));
    this.columns = Object.fromEntries(COLUMNS.map((name) => [name, column(name)]));
    this.map = el("div", { class: "map" }, this.lines, Object.values(this.columns));
    this.choice = el("select", { id: "view-choice", change: () => this.update(this.figures) });
    this.chooser = el("label", { for: "view-choice", class: "quiet" }, "View ", this.choice);
    const legend = el("p", { class: "quiet legend" }, "Width: calls per second. Dashed: weak.");
    this.node = section("topology", "Topology", [legend, this.chooser], this.map);
  }

  update(figures) {
    if (!figures) return;
    this.figures = figures;
    const { views, upstreams, all, now } = figures;
    const shown = this.choose(views);
    const parts = shown.flatMap((view) => view.parts.map((part) => ({ view, part })));
    const used = new Set(parts.flatMap(({ part }) => [part.upstream, part.otherwise]));
    const called = upstreams.filter((one) => used.has(one.name) || shown.some((view) => view.handler));
    const cards = (name) => this.columns[name].lastChild;
    keyed(cards("service"), [all], () => now.service, () => card("service", now.service), (node) => {
      say(node.rows[0], `${rate(all.rate)} req/s`);
      say(node.rows[1], `${share(all.success)} ok`);
      mark(node, "data-state", grade(all.success));
    });
    const view = (one) => card("view", one.name, `${one.method} ${one.route}`);
    keyed(cards("views"), shown, (one) => one.name, view, (node, one) => {
      say(node.rows[0], `${rate(one.rate)} req/s · ${share(one.success)} ok`);
      const degraded = one.degraded > 0 ? ` · degraded ${share(one.degraded)}` : "";
      say(node.rows[1], `P99 ${duration(one.p99)} of ${duration(one.deadline_ms)}${degraded}`);
      mark(node, "data-state", grade(one.success));
    });
    const key = ({ view: of, part }) => JSON.stringify([of.name, part.name]);
    const make = ({ view: of, part }) => {
      const node = card(`part ${part.strength}`, part.name, shown.length > 1 ? of.name : null);
      node.firstChild.after(el("span", { class: "tag" }, part.strength));
      return node;
    };
    keyed(cards("parts"), parts, key, make, (node, { part }) => {
      say(node.rows[0], `${rate(part.rate)}/s · ${share(part.success)} ok`);
      say(node.rows[1], part.failed.slice(0, 2).map(([reason, each]) => `${reason} ${rate(each)}/s`).join(" · "));
      mark(node, "data-state", grade(part.success));
    });
    keyed(cards("upstreams"), called, (one) => one.name, (one) => card("upstream", one.name), (node, one) => {
      say(node.rows[0], `${rate(one.rate)} calls/s · ${share(one.effective)} ok`);
      const places = `P99 ${duration(one.p99)} · ${one.in_flight} of ${one.limit_live} in flight`;
      const queue = one.queued ? ` · ${one.queued} queued` : "";
      const breaker = one.breakers.bad ? ` · breaker ${one.breakers.text}` : "";
      say(node.rows[1], places + queue + breaker);
      mark(node, "data-state", grade(one.actual));
    });
    this.edges = this.between(shown, parts, called);
    this.draw();
  }

  /** All views, or one where all would be too many. */
  choose(views) {
    const all = views.reduce((total, view) => total + view.parts.length, 0) <= PARTS_MAX;
    this.chooser.hidden = views.length < 2;
    const busiest = [...views].sort((a, b) => b.rate - a.rate)[0];
    const names = [...(all ? ["all"] : []), ...views.map((one) => one.name)];
    const [chosen, options] = [this.choice.selectedIndex, this.choice.options.length];
    const option = (name, index) => el("option", { value: index }, name);
    if (options !== names.length) {
      this.choice.replaceChildren(...names.map(option));
      this.choice.selectedIndex = all ? 0 : views.indexOf(busiest);
    } else this.choice.selectedIndex = chosen;
    const index = this.choice.selectedIndex - (all ? 1 : 0);
    return views.length < 2 || index < 0 ? views : [views[index]];
  }

  /** Which card leads to which, and what passes there. */
  between(views, parts, upstreams) {
    const of = (name) => this.columns[name].lastChild.known;
    const [service] = of("service").values();
    const lines = views.map((one) => ({ from: service, to: of("views").get(one.name), rate: one.rate, success: one.success }));
    for (const { view, part } of parts) {
      const node = of("parts").get(JSON.stringify([view.name, part.name]));
      const weak = part.strength === "weak";
      const flow = { rate: part.rate, success: part.success, weak };
      lines.push({ from: of("views").get(view.name), to: node, ...flow });
      lines.push({ from: node, to: of("upstreams").get(part.upstream), ...flow });
      if (part.otherwise) lines.push({ from: node, to: of("upstreams").get(part.otherwise), rate: 0, success: null, weak });
    }
    for (const view of views.filter((one) => one.handler)) {
      const ends = upstreams.map((one) => of("upstreams").get(one.name));
      for (const to of ends) lines.push({ from: of("views").get(view.name), to, rate: 0, success: null, weak: true });
    }
    return lines.filter((line) => line.from && line.to);
  }

  /** The lines, where the cards are now; none where the cards stand one below the other. */
  draw() {
    const box = this.map.getBoundingClientRect();
    const side = getComputedStyle(this.map).getPropertyValue("--lines").trim() === "on" && box.width > 0;
    const most = Math.max(1, ...(this.edges ?? []).map((line) => line.rate));
    const edges = side ? this.edges ?? [] : [];
    mark(this.lines, "viewBox", `0 0 ${Math.max(1, Math.round(box.width))} ${Math.max(1, Math.round(box.height))}`);
    const key = (line, index) => index;
    keyed(this.lines, edges.map((line, index) => ({ ...line, index })), (line) => key(line, line.index), () => svg("path"), (path, line) => {
      const [a, b] = [line.from.getBoundingClientRect(), line.to.getBoundingClientRect()];
      const [x1, y1] = [a.right - box.left, a.top - box.top + a.height / 2];
      const [x2, y2] = [b.left - box.left, b.top - box.top + b.height / 2];
      const bend = (x2 - x1) / 2;
      const round = (one) => Math.round(one * 2) / 2;
      const [from, to] = [`${round(x1)} ${round(y1)}`, `${round(x2)} ${round(y2)}`];
      mark(path, "d", `M${from}C${round(x1 + bend)} ${round(y1)} ${round(x2 - bend)} ${round(y2)} ${to}`);
      mark(path, "class", `${grade(line.success)}${line.weak ? " weak" : ""}`);
      mark(path, "stroke-width", line.rate ? (1.5 + 3.5 * Math.sqrt(line.rate / most)).toFixed(1) : "1");
    });
  }
}
