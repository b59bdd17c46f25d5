// Every limit in force and where it came from, as `/config` says; where a limit moves by itself, what
// it is now stands beside what was declared.

import { el, keyed, mark, say, section, table } from "./dom.js";

// Where a limit is called otherwise in the file that would change it.
const NAMES = { bulkhead: "bulkhead.limit", bulkhead_queue: "bulkhead.queue" };
// State, not limits.
const STATE = new Set(["in_flight", "queued"]);

/** `[table, key, value]` of every scalar in `value`; a list is one. */
function* flat(table, value, key = "") {
  for (const [name, one] of Object.entries(value ?? {})) {
    if (!key && STATE.has(name)) continue;
    const path = key ? `${key}.${name}` : NAMES[name] ?? name;
    if (one !== null && typeof one === "object" && !Array.isArray(one)) yield* flat(table, one, path);
    else yield [table, path, Array.isArray(one) ? one.join(", ") || "none" : one ?? "off"];
  }
}

function* rowsOf(config) {
  for (const [name, one] of Object.entries(config.views)) yield* flat(`views.${name}`, one);
  for (const [name, one] of Object.entries(config.upstreams)) yield* flat(`upstreams.${name}`, one);
  yield* flat("admission", config.admission);
  yield* flat("limits", config.limits);
}

export class Limits {
  constructor(get) {
    this.get = get;
    const { box, body } = table("Limits and their origin", [
      ["Of", null],
      ["Limit", "As it is called in the file that would change it"],
      ["Effective", "As declared, by whoever has the last word", "n"],
      ["Actual", "What it is now, where it moves by itself", "n"],
      ["Origin", "Who had the last word"],
    ]);
    this.body = body;
    this.filter = el("input", { type: "search", id: "limit-filter", input: () => this.sift() });
    const chooser = el("label", { for: "limit-filter", class: "quiet" }, "Filter ", this.filter);
    this.news = el("div", { class: "news" });
    this.node = section("limits-in-force", "Limits and their origin", chooser, this.news, box);
  }

  /** Reads again when the configuration in force is another. */
  async look(figures) {
    const { now } = figures;
    if (this.revision !== now.revision || this.started !== now.started_epoch_ms || this.wait-- <= 0) {
      const config = await this.get("/config");
      [this.revision, this.started, this.wait] = [now.revision, now.started_epoch_ms, 5];
      this.show(config);
    }
    this.live(now);
  }

  show(config) {
    const rows = [...rowsOf(config)].map(([of, key, value]) => ({ of, key, value, path: `${of}.${key}` }));
    const make = (one) =>
      el("tr", {}, el("th", { scope: "row" }, el("bdi", {}, one.of)), el("td", {}, el("code", {}, one.key)),
        el("td", { class: "n" }), el("td", { class: "n" }), el("td"));
    keyed(this.body, rows, (one) => one.path, make, (node, one) => {
      const [, , value, , origin] = node.children;
      say(value, one.value);
      const from = config.origins?.[one.path] ?? "default";
      say(origin, from);
      mark(node, "data-set", from === "default" ? null : "true");
      node.words = `${one.path} ${from}`.toLowerCase();
    });
    this.rows = rows;
    this.tell(config);
    this.sift();
  }

  /** Limits that follow the latency. */
  live(now) {
    for (const one of now.upstreams) {
      const node = this.body.known?.get(`upstreams.${one.name}.bulkhead.limit`);
      if (!node) continue;
      say(node.children[3], one.limit_live);
      mark(node.children[3], "data-state", one.limit_live < one.limit ? "warn" : null);
    }
  }

  tell(config) {
    const changes = Object.entries(config.changes ?? {}).map(([path, one]) =>
      el("li", {}, el("code", {}, path), ` ${one.from} → ${one.to} `, el("span", { class: "quiet" }, `${one.source}, revision ${one.revision}`)),
    );
    const items = [];
    if (changes.length) items.push(el("h3", {}, "Changed since the start"), el("ul", {}, changes));
    if (config.refused) {
      items.push(el("h3", {}, `Refused last (${config.refused.source})`), el("pre", {}, config.refused.error));
    }
    this.news.replaceChildren(...items);
  }

  sift() {
    const wanted = this.filter.value.trim().toLowerCase();
    for (const node of this.body.children) node.hidden = !node.words.includes(wanted);
  }
}
