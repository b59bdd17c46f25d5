// Elements from text. Whatever a service, a client or an upstream is called, it is put into the page
// as text: nothing here, or anywhere in the console, makes markup from a string (RELIABILITY S30).

const SVG = "http://www.w3.org/2000/svg";
// Controls, and what reorders or hides text: shown as what they are, so that no name looks like another.
const UNSEEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** A value as text in which nothing is invisible. */
export function plain(value) {
  const shown = (one) => `\\u{${one.charCodeAt(0).toString(16)}}`;
  return String(value ?? "").replace(UNSEEN, shown);
}

/** An element; attributes that are functions listen, children that are not elements are text. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same in SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : plain(value));
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined) continue;
    node.append(child instanceof Node ? child : plain(child));
  }
  return node;
}

/** Puts text where it differs: what stands still is not announced again and keeps its selection. */
export function say(node, value) {
  const text = plain(value);
  if (node.textContent !== text) node.textContent = text;
}

/** Sets a class or an attribute where it differs. */
export function mark(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== plain(value)) node.setAttribute(name, plain(value));
}

/** Keeps the children of `parent` in step with `rows`: made once per key, then only brought up to
 * date, so that focus and selection stay. */
export function keyed(parent, rows, key, make, update) {
  const known = parent.known ?? new Map();
  const seen = new Map();
  let place = parent.firstChild;
  for (const row of rows) {
    const name = key(row);
    if (seen.has(name)) continue;
    const node = known.get(name) ?? make(row);
    seen.set(name, node);
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
    update(node, row);
  }
  for (const [name, node] of known) if (!seen.has(name)) node.remove();
  parent.known = seen;
}

/** A heading with what is said about it. */
export function section(id, title, about, ...children) {
  const head = el("div", { class: "head" }, el("h2", { id: `${id}-title` }, title), about);
  return el("section", { id, "aria-labelledby": `${id}-title` }, head, ...children);
}

/** A table with a caption for readers that do not see it; columns are [title, explanation, class]. */
export function table(caption, columns) {
  const heads = columns.map(([title, about, kind]) =>
    el("th", { scope: "col", title: about, class: kind }, title),
  );
  const body = el("tbody");
  const node = el(
    "table",
    {},
    el("caption", { class: "unseen" }, caption),
    el("thead", {}, el("tr", {}, heads)),
    body,
  );
  const box = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, node);
  return { box, body };
}
