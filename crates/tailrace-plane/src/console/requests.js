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
    this.key = key;
    this.update();
  }

  async look() {
    this.list = read(await this.get(`/receipts?limit=${SHOWN}`));
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
    const link = el("a", { href: `#/requests/${one.key}` }, time);
    const took = el("td", { class: "n" }, `${duration(one.duration_ms)} of ${duration(one.deadline_ms)}`);
    if (one.duration_ms > one.deadline_ms / 2) mark(took, "data-state", "warn");
    const missing = one.missing.map(({ name, why }) => `${name} (${why})`).join(", ");
    const status = el("td", { class: "n", "data-state": one.status >= 500 ? "bad" : null }, one.status);
    return el("tr", {}, el("th", { scope: "row" }, link), el("td", {}, el("bdi", {}, one.view)), status, took,
      el("td", {}, el("bdi", {}, missing || "–")), el("td", { class: "held" }, el("bdi", {}, one.held_up_by ?? "–")));
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
    const marks = el("div", { class: "marks" }, line(one.duration_ms < end / 2 ? "reply early" : "reply", one.duration_ms, `reply ${duration(one.duration_ms)}`), line("deadline", one.deadline_ms, `deadline ${duration(one.deadline_ms)}`));
    const key = el("p", { class: "quiet key" }, Object.keys(KEY).map((kind) => el("span", {}, el("i", { class: `bar ${kind}` }), KEY[kind])));
    const bill = el("dl", { class: "bill" }, one.bill.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
    this.fall.replaceChildren(head, el("div", { class: "lanes" }, rows, marks), key, bill);
  }
}

const KEY = { wait: "waits", attempt: "attempt that answered", hedge: "hedge that answered", lost: "failed or cancelled", kept: "from the cache" };

/** Receipts as they come, in the page's own words. */
function read({ receipts }) {
  return receipts.map((one) => {
    const parts = one.parts.map((part) => partOf(part, one));
    const path = one.tail.path;
    const last = path.at(-1);
    return {
      key: one.id,
      id: one.request_id,
      view: one.view ?? "no view",
      status: one.status,
      code: one.code,
      epoch_ms: one.time_ms,
      duration_ms: one.duration_ms,
      deadline_ms: one.deadline_ms ?? one.duration_ms,
      parts,
      missing: parts.filter((part) => part.why),
      held_up_by: last && `${last.part} (without it ${duration(last.saving_ms)} less)`,
      bill: bill(one),
    };
  });
}

function partOf(part, receipt) {
  const end = part.done_ms ?? receipt.duration_ms;
  const calls = part.calls.map((call) => ({ ...call, end: call.ended_ms ?? end }));
  const begin = part.ready_ms ?? calls[0]?.ready_ms ?? end;
  const away = ["fresh", "cached"].includes(part.source ?? "fresh") ? null : part.source;
  const held = receipt.tail.path.some((one) => one.part === part.name);
  const failed = part.failed ?? (part.done_ms === null ? "cancelled" : null);
  const words = `${part.name}: ${failed ?? "ok"}, ${duration(begin)} to ${duration(end)}${held ? ", on the critical path" : ""}`;
  return {
    name: part.name,
    strength: part.strength,
    begin,
    end,
    held,
    failed,
    why: part.failed ?? away,
    words,
    waits: calls.flatMap(waitsOf),
    attempts: calls.flatMap(attemptsOf),
  };
}

/** Until a call was made, and until it had its place. */
function waitsOf(call) {
  const waits = [
    { kind: "fan", from: call.ready_ms, to: call.started_ms, words: "fan-out cap" },
    { kind: "place", from: call.started_ms, to: call.permitted_ms, words: "bulkhead" },
  ];
  return waits.filter(({ from, to }) => from !== null && to !== null && to > from);
}

function attemptsOf(call) {
  const to = call.upstream + (call.otherwise ? " (otherwise)" : "");
  if (!call.attempts.length) {
    const kind = call.outcome === "ok" ? "kept" : "lost";
    return [{ kind, from: call.started_ms ?? call.end, to: call.end, words: `${to}: ${call.source}, ${call.outcome}` }];
  }
  return call.attempts.map((one) => {
    const end = one.end_ms ?? call.end;
    const good = one.kind === "hedge" ? "hedge" : "attempt";
    const words = `${to}, attempt ${one.number} (${one.kind}): ${one.outcome}, ${duration(end - one.start_ms)}`;
    return { kind: one.outcome === "ok" ? good : "lost", from: one.start_ms, to: end, words };
  });
}

function size(bytes) {
  return bytes < 2 ** 20 ? `${(bytes / 2 ** 10).toFixed(1)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** The five dimensions of the receipt. */
function bill({ cpu, memory, concurrency, io, tail, python }) {
  const thread = cpu.thread_ms === null ? "" : `, ${duration(cpu.thread_ms)} of it on the processor`;
  const waits = python && `; in Python ${duration(python.loop_wait_ms)} for its loop, ${duration(python.lock_wait_ms)} for its lock`;
  const late = concurrency.wake_delay_ms === null ? "" : `, ${duration(concurrency.wake_delay_ms)} to be polled when woken`;
  const allocated = memory.allocations === null ? "" : `; ${memory.allocations} allocations of ${size(memory.allocated_bytes)}`;
  const made = `${memory.buffer_hits} buffers from the pool, ${memory.buffer_misses} new${allocated}`;
  return [
    ["CPU", `${duration(cpu.poll_ms)} in ${cpu.polls} polls${thread}${waits ?? ""}`],
    ["Memory", `${size(memory.peak_bytes)} of ${size(memory.limit_bytes)} at most; ${made}`],
    ["Concurrency", `${concurrency.calls} calls, ${concurrency.in_flight_max} at once; waited ${duration(concurrency.fanout_wait_ms)} for the fan-out cap, ${duration(concurrency.bulkhead_wait_ms)} for places${late}`],
    ["IO", `${io.attempts} attempts (${io.retries} retries, ${io.hedges} hedges), ${io.connects} connects, ${size(io.bytes_out)} out, ${size(io.bytes_in)} in`],
    ["Tail", tail.path.map((one) => `${one.part} saves ${duration(one.saving_ms)}`).join(", ") || "no part on the critical path"],
  ];
}
