// The figures as tables: of the service, of its views, of its upstreams, and of what is missing.

import { el, keyed, mark, say, section, table } from "./dom.js";
import { duration, grade, rate, share } from "./figures.js";

const cells = (...kinds) => kinds.map((kind) => el("td", { class: kind }));

function row(head, kinds) {
  const name = el("th", { scope: "row" }, head);
  const node = el("tr", {}, name, cells(...kinds));
  node.values = [...node.children].slice(1);
  return node;
}

/** The service as a whole. */
export class Tiles {
  constructor() {
    const tile = (title, about) => {
      const value = el("dd", {}, "–");
      const node = el("div", { class: "tile", title: about }, el("dt", {}, title), value);
      return { node, value };
    };
    this.tiles = {
      rate: tile("Requests/s", "Replies of all views, per second"),
      success: tile("Success", "Replies below 500"),
      degraded: tile("Degraded", "Replies with a part missing, and said so"),
      p50: tile("P50", "Half of the requests took at most this long"),
      p95: tile("P95", "95 of 100 requests took at most this long"),
      p99: tile("P99", "99 of 100 requests took at most this long"),
      flight: tile("In flight", "Requests in progress now"),
      refused: tile("Refused/s", "Requests that admission did not let in"),
    };
    this.node = el("dl", { class: "tiles" }, Object.values(this.tiles).map((one) => one.node));
  }

  update({ all, now, refused }) {
    const put = (name, text, state) => {
      say(this.tiles[name].value, text);
      mark(this.tiles[name].node, "data-state", state);
    };
    put("rate", rate(all.rate));
    put("success", share(all.success), grade(all.success));
    put("degraded", share(all.degraded), all.degraded > 0 ? "warn" : null);
    for (const name of ["p50", "p95", "p99"]) put(name, duration(all[name]));
    put("flight", now.in_flight.toLocaleString("en"));
    const turned = refused.reduce((total, [, one]) => total + one, 0);
    put("refused", rate(turned), turned > 0 ? "warn" : null);
    const why = refused.map(([limit, one]) => `${limit} ${rate(one)}/s`).join(", ");
    mark(this.tiles.refused.node, "title", why || "Requests that admission did not let in");
  }
}

/** By view. */
export class Views {
  constructor() {
    const { box, body } = table("Views", [
      ["View", null],
      ["Req/s", "Replies per second", "n"],
      ["Success", "Replies below 500", "n"],
      ["Degraded", "Replies with a part missing, and said so", "n"],
      ["P50", null, "n"],
      ["P95", null, "n"],
      ["P99", null, "n"],
      ["Deadline", "No reply comes later", "n"],
      ["Left out", "Weak parts left out because the load is high, in steps", "n"],
    ]);
    this.body = body;
    this.node = section("views", "Views", null, box);
  }

  update({ views }) {
    const make = (one) => {
      const route = el("span", { class: "quiet route" }, `${one.method} ${one.route}`);
      return row([el("bdi", {}, one.name), route], Array(8).fill("n"));
    };
    const update = (node, one) => {
      const [req, success, degraded, p50, p95, p99, deadline, rung] = node.values;
      say(req, rate(one.rate));
      say(success, share(one.success));
      mark(success, "data-state", grade(one.success));
      say(degraded, share(one.degraded));
      mark(degraded, "data-state", one.degraded > 0 ? "warn" : null);
      say(p50, duration(one.p50));
      say(p95, duration(one.p95));
      say(p99, duration(one.p99));
      say(deadline, duration(one.deadline_ms));
      say(rung, one.rungs ? `${one.rung} of ${one.rungs}` : "–");
      mark(rung, "data-state", one.rung ? "warn" : null);
    };
    keyed(this.body, views, (one) => one.name, make, update);
  }
}

/** By upstream: what views see beside what the upstream sees, declared limits beside live ones. */
export class Upstreams {
  constructor() {
    const { box, body } = table("Upstreams", [
      ["Upstream", null],
      ["Calls/s", "EFFECTIVE: calls, as views see them", "n"],
      ["Effective", "EFFECTIVE success: calls answered, after retries and hedges", "n"],
      ["Attempts/s", "ACTUAL: wire exchanges, as the upstream sees them", "n"],
      ["Actual", "ACTUAL success: wire exchanges that were answered", "n"],
      ["P50", "Of one attempt", "n"],
      ["P95", "Of one attempt", "n"],
      ["P99", "Of one attempt", "n"],
      ["In flight", "Calls in flight, of those that the live limit allows", "n"],
      ["Limit", "EFFECTIVE limit as declared; ACTUAL where it follows the latency", "n"],
      ["Queued", "Calls that wait for a place", "n"],
      ["Breaker", "Addresses that are left alone for now"],
      ["Budget left", "Extra attempts that the retry budget would grant now", "n"],
      ["Extra/s", "Retries and hedges per second", "n"],
    ]);
    this.body = body;
    const about = el(
      "p",
      { class: "quiet" },
      "Effective: calls, as views see them. Actual: attempts, as the upstream sees them.",
    );
    this.node = section("upstreams", "Upstreams", about, box);
  }

  update({ upstreams }) {
    const make = (one) => {
      const node = row(el("bdi", {}, one.name), Array(13).fill("n"));
      node.meter = el("meter", { min: 0, max: 1, high: 0.9, "aria-hidden": "true" });
      node.count = el("span");
      node.values[7].append(node.count, node.meter);
      node.values[10].className = "";
      return node;
    };
    keyed(this.body, upstreams, (one) => one.name, make, (node, one) => this.put(node, one));
  }

  put(node, one) {
    const [calls, effective, attempts, actual, p50, p95, p99, , limit, queued, breaker, budget, extra] = node.values;
    say(calls, rate(one.rate));
    say(effective, share(one.effective));
    mark(effective, "data-state", grade(one.effective));
    say(attempts, rate(one.attempt_rate));
    say(actual, share(one.actual));
    mark(actual, "data-state", grade(one.actual));
    say(p50, duration(one.p50));
    say(p95, duration(one.p95));
    say(p99, duration(one.p99));
    say(node.count, one.in_flight);
    node.meter.value = one.limit_live ? one.in_flight / one.limit_live : 0;
    say(limit, one.adaptive ? `${one.limit} → ${one.limit_live}` : one.limit);
    mark(limit, "title", one.adaptive ? `${one.limit} declared, ${one.limit_live} now` : "declared");
    say(queued, `${one.queued} of ${one.queue_limit}`);
    mark(queued, "data-state", one.queued ? "warn" : null);
    say(breaker, one.breakers.text);
    mark(breaker, "data-state", one.breakers.bad ? "bad" : null);
    mark(breaker, "title", one.addresses.length < 2 ? "an only address is never left alone" : null);
    const left = one.retry_budget === null ? "off" : one.retry_budget.toLocaleString("en");
    say(budget, left);
    mark(budget, "data-state", one.retry_budget === 0 ? "bad" : null);
    say(extra, rate(one.retry_rate + one.hedge_rate));
    const why = one.refusals.map(([code, n]) => `${code} ${rate(n)}/s`).join(", ");
    mark(extra, "title", `retries ${rate(one.retry_rate)}/s, hedges ${rate(one.hedge_rate)}/s${why && `; refused: ${why}`}`);
  }
}

/** What is missing in replies, by part and reason: the words of header, log and metric. */
export class Degraded {
  constructor() {
    const { box, body } = table("Degraded by part and reason", [
      ["View", null],
      ["Part", null],
      ["Kind", "A weak part degrades the reply, a strong one fails it"],
      ["Reason", "The word that reply, log and metric use"],
      ["Per second", null, "n"],
      ["Share", "Of the times this part was wanted", "n"],
    ]);
    this.body = body;
    this.none = el("p", { class: "quiet none" }, "Nothing is missing: every part came from its upstream.");
    this.box = box;
    this.node = section("degraded", "Degraded by part and reason", null, this.none, box);
  }

  update({ views }) {
    const found = views.flatMap((view) =>
      view.parts.flatMap((part) => part.failed.map(([reason, each]) => ({ view, part, reason, each }))),
    );
    found.sort((a, b) => b.each - a.each);
    this.none.hidden = found.length > 0;
    this.box.hidden = !found.length;
    const make = ({ view, part, reason }) => {
      const node = row(el("bdi", {}, view.name), ["", "", "", "n", "n"]);
      node.values[0].append(el("bdi", {}, part.name));
      say(node.values[1], part.strength);
      node.values[2].append(el("code", {}, reason));
      return node;
    };
    const key = ({ view, part, reason }) => JSON.stringify([view.name, part.name, reason]);
    keyed(this.body, found, key, make, (node, { part, each }) => {
      say(node.values[3], rate(each));
      say(node.values[4], share(part.rate > 0 ? Math.min(1, each / part.rate) : null));
      mark(node.values[4], "data-state", part.strength === "strong" ? "bad" : "warn");
    });
  }
}
