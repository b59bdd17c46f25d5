// One line per service over the last seconds, on a logarithmic scale: a tail of three seconds and a
// median of ten milliseconds are both to be seen. Drawn as SVG; colours and dashes are the style's.

import { el, mark, say, svg } from "./dom.js";
import { duration } from "./figures.js";

const WIDTH = 640;
const HEIGHT = 220;
const EDGE = { left: 56, right: 14, top: 12, bottom: 24 };
const TICKS_MS = [1, 10, 100, 1000, 10_000];

export class Chart {
  constructor(title, seconds, names) {
    this.seconds = seconds;
    this.names = names;
    this.title = svg("title", {}, title);
    this.grid = svg("g", { class: "grid" });
    this.lines = names.map((name) => svg("path", { class: `line ${name}` }));
    this.limit = svg("path", { class: "limit" });
    this.limitName = svg("text", { class: "limit-name" });
    this.node = svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "chart" },
      this.title,
      this.grid,
      this.limit,
      this.limitName,
      this.lines,
    );
  }

  /** `points` by name: [[seconds ago, milliseconds or null], ...]; `limit` in milliseconds. */
  update(points, limit, about) {
    say(this.title, about);
    const values = Object.values(points).flat().map(([, ms]) => ms).filter((ms) => ms > 0);
    const low = 10 ** Math.floor(Math.log10(Math.min(10, limit, ...values)));
    const high = 10 ** Math.ceil(Math.log10(Math.max(100, limit, ...values) * 1.01));
    const span = Math.log10(high / low);
    const y = (ms) => EDGE.top + (HEIGHT - EDGE.top - EDGE.bottom) * (1 - Math.log10(Math.max(ms, low) / low) / span);
    const x = (ago) => WIDTH - EDGE.right - ((WIDTH - EDGE.left - EDGE.right) * ago) / this.seconds;
    this.rule(low, high, x, y);
    mark(this.limit, "d", `M${EDGE.left} ${y(limit).toFixed(1)}H${WIDTH - EDGE.right}`);
    mark(this.limitName, "x", EDGE.left + 4);
    mark(this.limitName, "y", (y(limit) - 4).toFixed(1));
    say(this.limitName, `deadline ${duration(limit)}`);
    this.names.forEach((name, index) => {
      let pen = "M";
      let path = "";
      for (const [ago, ms] of points[name] ?? []) {
        if (ms === null || ago > this.seconds) pen = "M";
        else [path, pen] = [`${path}${pen}${x(ago).toFixed(1)} ${y(ms).toFixed(1)}`, "L"];
      }
      mark(this.lines[index], "d", path || null);
    });
  }

  rule(low, high, x, y) {
    const wanted = `${low} ${high}`;
    if (this.ruled === wanted) return;
    this.ruled = wanted;
    const marks = TICKS_MS.filter((ms) => ms >= low && ms <= high).flatMap((ms) => [
      svg("path", { d: `M${EDGE.left} ${y(ms).toFixed(1)}H${WIDTH - EDGE.right}` }),
      svg("text", { x: EDGE.left - 6, y: (y(ms) + 4).toFixed(1), "text-anchor": "end" }, ms < 1000 ? `${ms} ms` : `${ms / 1000} s`),
    ]);
    for (const ago of [0, this.seconds / 2, this.seconds]) {
      const place = ago === 0 ? "end" : ago === this.seconds ? "start" : "middle";
      marks.push(svg("text", { x: x(ago), y: HEIGHT - 6, "text-anchor": place }, ago ? `${ago} s ago` : "now"));
    }
    this.grid.replaceChildren(...marks);
  }
}

/** A name, its colour and its figures. */
export function legend(name, words) {
  const figures = el("span", { class: "figures" });
  const node = el("li", { class: name }, el("span", { class: "swatch", "aria-hidden": "true" }), el("strong", {}, words), figures);
  return { node, figures };
}
