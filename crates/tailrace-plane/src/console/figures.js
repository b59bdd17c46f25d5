// From two samples of `/live` to figures: rates, shares and percentiles of the time between them.
// Pure: no page, no clock. `tailrace top` computes the same in python/tailrace/cli/_figures.py.

/** Figures are of this many seconds at most. */
export const SPAN_S = 10;

const dash = "–";

/** The samples that figures are made of. */
export class Samples {
  constructor() {
    this.kept = [];
  }

  /** Takes a sample; what was seen of another start of the service is forgotten. */
  push(sample) {
    const last = this.kept.at(-1);
    const other = last && (last.started_epoch_ms !== sample.started_epoch_ms || last.at_ms >= sample.at_ms);
    if (other) this.kept = [];
    this.kept.push(sample);
    while (this.kept.length > 2 && sample.at_ms - this.kept[1].at_ms >= SPAN_S * 1000) this.kept.shift();
  }

  /** Figures of the newest stretch; since the service started while there is one sample only. */
  figures() {
    const now = this.kept.at(-1);
    return now && figures(now, this.kept.length > 1 ? this.kept[0] : null);
  }

  /** Figures of the last two samples, for what moves. */
  latest() {
    const [before, now] = this.kept.slice(-2);
    return now && figures(now, before);
  }
}

export function figures(now, before) {
  const seconds = before
    ? (now.at_ms - before.at_ms) / 1000
    : Math.max(1, (now.epoch_ms - now.started_epoch_ms) / 1000);
  const old = (list, name) => before?.[list].find((one) => one.name === name);
  const views = now.views.map((one) => view(one, old("views", one.name), seconds));
  const upstreams = now.upstreams.map((one) => upstream(one, old("upstreams", one.name), seconds));
  const refused = rates(now.admission.refused, before?.admission.refused, seconds);
  return { now, seconds, views, upstreams, refused, all: all(now, before, views, seconds) };
}

function all(now, before, views, seconds) {
  const buckets = (sample) => sample?.views.flatMap((one) => one.duration_us);
  const rate = sum(views.map((one) => one.rate));
  const of = (read) => (rate > 0 ? sum(views.map((one) => one.rate * (read(one) ?? 0))) / rate : null);
  return {
    rate,
    success: of((one) => one.success),
    degraded: of((one) => one.degraded),
    unmatched: (now.unmatched - (before?.unmatched ?? 0)) / seconds,
    ...percentiles(buckets(now), buckets(before)),
  };
}

function view(one, old, seconds) {
  const replies = differences(one.statuses, old?.statuses);
  const count = sum(Object.values(replies));
  const failed = sum(Object.entries(replies).filter(([status]) => !(Number(status) < 500)).map(([, n]) => n));
  return {
    ...one,
    rate: count / seconds,
    success: count ? 1 - failed / count : null,
    degraded: count ? (one.degraded - (old?.degraded ?? 0)) / count : null,
    degraded_rate: (one.degraded - (old?.degraded ?? 0)) / seconds,
    cancelled: (one.cancelled - (old?.cancelled ?? 0)) / seconds,
    parts: one.parts.map((each) => part(each, old?.parts.find((p) => p.name === each.name), seconds)),
    ...percentiles(one.duration_us, old?.duration_us),
  };
}

function part(one, old, seconds) {
  const failed = rates(one.failed, old?.failed, seconds);
  const failures = sum(failed.map(([, rate]) => rate));
  const ok = (one.ok - (old?.ok ?? 0)) / seconds;
  const rate = ok + failures;
  return { ...one, ok, rate, failed, failures, success: rate > 0 ? ok / rate : null };
}

function upstream(one, old, seconds) {
  const since = (name) => Math.max(0, one[name] - (old?.[name] ?? 0));
  const [calls, attempts] = [since("calls"), since("attempts")];
  const ended = counts(one.duration_us, old?.duration_us);
  const share = (bad, whole) => (whole > 0 ? Math.max(0, 1 - bad / whole) : null);
  return {
    ...one,
    rate: calls / seconds,
    effective: share(since("calls_failed"), calls),
    attempt_rate: attempts / seconds,
    actual: share(since("failures"), sum([...ended.values()])),
    retry_rate: since("retries") / seconds,
    hedge_rate: since("hedges") / seconds,
    refusals: rates(one.refused, old?.refused, seconds),
    breakers: breakers(one),
    ...percentiles(one.duration_us, old?.duration_us),
  };
}

/** `closed`, `2 of 3 open`, ...; nothing where no address is ever ejected. */
function breakers(one) {
  const states = one.addresses.map((address) => address.breaker).filter(Boolean);
  const away = states.filter((state) => state !== "closed");
  if (!states.length) return { text: dash, bad: false };
  if (!away.length) return { text: "closed", bad: false };
  const word = away.every((state) => state === "probe") ? "probe" : "open";
  return { text: `${away.length} of ${states.length} ${word}`, bad: true };
}

/** Per second and above zero, the most frequent first. */
function rates(now, before, seconds) {
  const found = Object.entries(differences(now, before)).filter(([, count]) => count > 0);
  return found.map(([name, count]) => [name, count / seconds]).sort((a, b) => b[1] - a[1]);
}

function differences(now, before = {}) {
  return Object.fromEntries(Object.entries(now).map(([name, n]) => [name, Math.max(0, n - (before[name] ?? 0))]));
}

function counts(now, before = []) {
  const found = new Map();
  for (const [bound, count] of now) found.set(bound, (found.get(bound) ?? 0) + count);
  for (const [bound, count] of before) found.set(bound, (found.get(bound) ?? 0) - count);
  return found;
}

/** Upper bounds, at most an eighth too high; null where nothing ended. */
export function percentiles(now, before = []) {
  const sorted = [...counts(now, before)].filter(([, count]) => count > 0).sort((a, b) => a[0] - b[0]);
  const total = sum(sorted.map(([, count]) => count));
  const at = (share) => {
    const rank = Math.max(1, Math.ceil(share * total));
    let seen = 0;
    for (const [bound, count] of sorted) if ((seen += count) >= rank) return bound / 1000;
    return null;
  };
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

function sum(numbers) {
  return numbers.reduce((total, one) => total + one, 0);
}

// Words for numbers: the same in console and terminal.

/** Three figures and a unit. */
export function duration(ms) {
  if (ms === null || ms === undefined) return dash;
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  if (ms >= 100) return `${ms.toFixed(0)} ms`;
  return ms >= 1 ? `${ms.toFixed(1)} ms` : `${ms.toFixed(2)} ms`;
}

export function rate(perSecond) {
  if (!perSecond) return "0";
  if (perSecond < 0.1) return "<0.1";
  return perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond).toLocaleString("en");
}

/** What is neither none nor all is never shown as one of them. */
export function share(value) {
  if (value === null || value === undefined) return dash;
  if (value > 0 && value < 0.001) return "<0.1%";
  if (value < 1 && value > 0.999) return ">99.9%";
  return `${(value * 100).toFixed(1).replace(/\.0$/, "")}%`;
}

/** How a success share is judged: ok, warn or bad. */
export function grade(success) {
  if (success === null || success === undefined) return "idle";
  if (success >= 0.999) return "ok";
  return success >= 0.95 ? "warn" : "bad";
}
