// The lab around a demo: faults of each simulated upstream, and the same load on the same aggregation
// without protections, beside the governed one. Outside of a demo there is none of it.
//
// What is shown is what the lab answered with, never what was asked for; a change needs the token
// that the demo printed with its address.

import { Chart, legend } from "./chart.js";
import { el, keyed, mark, say, section } from "./dom.js";
import { duration, rate, share } from "./figures.js";

const SECONDS = 60;
const SETTLE_MS = 150;
// By kind: what the slider says, its end, and the setting it becomes.
const FAULTS = {
  well: null,
  slow: { kind: "delay", name: "adds_ms", unit: "ms", max: 1000, step: 10, first: 200 },
  errors: { kind: "errors", name: "probability", unit: "%", max: 100, step: 1, first: 50 },
  hang: { kind: "hang", name: "probability", unit: "%", max: 100, step: 1, first: 100 },
  reset: { kind: "reset", name: "probability", unit: "%", max: 100, step: 1, first: 100 },
};
const WORDS = { naive: "Protections off", governed: "Governed" };
const scale = (fault) => (fault.unit === "%" ? 100 : 1);

/** `slow`, ... for what the lab says; `other` for a fault that has no slider here. */
function nameOf(fault) {
  if (!fault) return "well";
  return Object.keys(FAULTS).find((name) => FAULTS[name]?.kind === fault.kind) ?? "other";
}

export class Lab {
  constructor(get, post, mayChange) {
    Object.assign(this, { get, post, mayChange, state: null });
    this.chart = new Chart("P99 as clients see it", SECONDS, ["naive", "governed"]);
    this.legends = { governed: legend("governed", WORDS.governed), naive: legend("naive", WORDS.naive) };
    const items = Object.values(this.legends).map((one) => one.node);
    this.switch = el("button", { type: "button", role: "switch", "aria-checked": "false", click: () => this.turn() });
    this.switch.append(el("span", { class: "knob", "aria-hidden": "true" }), "Protections off, beside");
    this.note = el("p", { class: "quiet" });
    this.rows = el("div", { class: "faults" });
    this.heal = el("button", { type: "button", click: () => this.healAll() }, "All well again");
    this.message = el("p", { class: "message", role: "alert", hidden: true });
    const left = el("div", { class: "race" }, this.chart.node, el("ul", { class: "legend" }, items), this.switch, this.note);
    const right = el("div", {}, el("h3", {}, "Break an upstream"), this.rows, this.heal, this.message);
    const about = el("p", { class: "quiet" }, "P99 as clients see it, each second, on a logarithmic scale.");
    this.node = section("lab", "The same load, with and without protections", about, el("div", { class: "halves" }, left, right));
    this.node.hidden = true;
  }

  async look() {
    this.state = await this.get("/lab");
    this.update();
  }

  update() {
    const state = this.state;
    this.node.hidden = !state;
    if (!state) return;
    const { load } = state;
    const points = Object.fromEntries(
      ["naive", "governed"].map((side) => [side, load[side].map((one) => [load.now_s - one.at_s, one.p99_ms])]),
    );
    const last = Object.fromEntries(["naive", "governed"].map((side) => [side, load[side].at(-1)]));
    const words = (side) => (last[side] ? `${WORDS[side]}: P99 ${duration(last[side].p99_ms)}` : "");
    this.chart.update(points, state.deadline_ms, ["governed", "naive"].map(words).filter(Boolean).join(", "));
    for (const side of ["governed", "naive"]) this.tell(side, last[side]);
    mark(this.switch, "aria-checked", String(state.unprotected.on));
    this.switch.disabled = !state.unprotected.can || !this.mayChange();
    const measured = "The measured run needs both. `tailrace demo --hold` keeps the demo running after it.";
    const held = "The same requests to the same aggregation as it is usually first written: one timeout, blind retries.";
    say(this.note, state.unprotected.can ? held : measured);
    this.heal.disabled = !this.mayChange();
    if (!this.mayChange()) this.complain("To change something, open the address that the demo printed: it carries the token.");
    keyed(this.rows, state.upstreams, (one) => one.name, (one) => this.row(one), (node, one) => this.put(node, one));
  }

  tell(side, point) {
    const { figures, node } = this.legends[side];
    const off = side === "naive" && !this.state.unprotected.on;
    mark(node, "data-off", off ? "true" : null);
    if (!point || off) return say(figures, off ? "no load" : "no replies yet");
    const late = `${share(point.errors)} failed · ${share(point.degraded)} degraded`;
    return say(figures, `P99 ${duration(point.p99_ms)} · ${late} · ${rate(point.rate)}/s`);
  }

  /** One upstream: which fault, and how much of it. */
  row({ name }) {
    const node = el("fieldset", { class: "fault" }, el("legend", {}, el("bdi", {}, name)));
    node.choice = {};
    const group = `fault-${(this.groups = (this.groups ?? 0) + 1)}`;
    const choices = el("div", { class: "choices" });
    for (const kind of Object.keys(FAULTS)) {
      const input = el("input", { type: "radio", name: group, value: kind, change: () => this.pick(node, name, kind) });
      node.choice[kind] = input;
      choices.append(el("label", {}, input, el("span", {}, kind)));
    }
    node.slider = el("input", { type: "range", min: 0, "aria-label": `how much, ${name}`, input: () => this.slide(node, name) });
    node.amount = el("output", {});
    node.said = el("span", { class: "quiet" });
    node.append(choices, el("div", { class: "amount" }, node.slider, node.amount, node.said));
    return node;
  }

  put(node, { name, fault, in_flight }) {
    node.disabled = !this.mayChange();
    say(node.said, `${in_flight} waiting`);
    // Somebody moves it: what the lab says comes after.
    if (node.moving || this.sending === name) return;
    const kind = nameOf(fault);
    for (const [one, input] of Object.entries(node.choice)) input.checked = one === kind;
    const known = FAULTS[kind];
    node.slider.hidden = !known;
    mark(node, "data-state", kind === "well" ? null : "bad");
    if (!known) return say(node.amount, kind === "other" ? fault.kind : "as simulated");
    this.measure(node, known, (fault[known.name] ?? 1) * scale(known));
    return null;
  }

  measure(node, known, amount) {
    for (const one of ["max", "step"]) mark(node.slider, one, known[one]);
    node.slider.value = amount;
    const percent = known.unit === "%";
    say(node.amount, percent ? `${Math.round(amount)}%` : `+${Math.round(amount)} ms`);
    mark(node.slider, "aria-valuetext", percent ? `${Math.round(amount)}% of requests` : `${Math.round(amount)} ms more`);
  }

  pick(node, name, kind) {
    const known = FAULTS[kind];
    node.slider.hidden = !known;
    if (known) this.measure(node, known, known.first);
    else say(node.amount, "as simulated");
    this.change(name, known && { kind: known.kind, [known.name]: known.first / scale(known) });
  }

  slide(node, name) {
    const kind = Object.keys(node.choice).find((one) => node.choice[one].checked);
    const known = FAULTS[kind];
    if (!known) return;
    this.measure(node, known, Number(node.slider.value));
    clearTimeout(node.moving);
    node.moving = setTimeout(() => {
      node.moving = null;
      this.change(name, { kind: known.kind, [known.name]: Number(node.slider.value) / scale(known) });
    }, SETTLE_MS);
  }

  async change(upstream, fault) {
    this.sending = upstream;
    await this.send({ upstream, fault });
    this.sending = null;
    await this.look();
  }

  async healAll() {
    for (const { name } of this.state.upstreams) await this.send({ upstream: name, fault: null });
    await this.look();
  }

  async turn() {
    await this.send({ unprotected: this.switch.getAttribute("aria-checked") !== "true" });
  }

  async send(wish) {
    try {
      this.state = await this.post("/lab", wish);
      this.complain("");
    } catch (error) {
      this.complain(error.message);
    }
    this.update();
  }

  complain(text) {
    say(this.message, text);
    this.message.hidden = !text;
  }
}
