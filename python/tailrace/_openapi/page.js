"use strict";
// Filters what is already on the page; everything works without it but the search.
const search = document.getElementById("search");
const contents = document.querySelector("nav details");
const links = [...document.querySelectorAll("nav li a")];
const count = document.getElementById("count");
const nothing = document.getElementById("nothing");
const target = (link) => document.getElementById(link.hash.slice(1));
const shown = () => links.filter((link) => !link.parentElement.hidden);

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const link of links) {
    const text = link.textContent.toLowerCase() + " " + (target(link).dataset.search || "");
    const hit = words.every((word) => text.includes(word));
    link.parentElement.hidden = target(link).hidden = !hit;
  }
  for (const heading of document.querySelectorAll("nav h2")) {
    const list = heading.nextElementSibling;
    heading.hidden = [...list.children].every((item) => item.hidden);
  }
  const found = shown().length;
  nothing.hidden = found > 0;
  count.textContent = words.length ? found + " found" : "";
  if (words.length) contents.open = true;
}

function move(step) {
  const list = shown();
  const at = list.indexOf(document.activeElement) + step;
  if (at < 0) search.focus();
  else if (list.length) list[Math.min(at, list.length - 1)].focus();
}

search.addEventListener("input", filter);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const inside = document.activeElement === search || links.includes(document.activeElement);
  if (event.key === "/" && document.activeElement !== search) search.focus();
  else if (event.key === "ArrowDown" && inside) move(1);
  else if (event.key === "ArrowUp" && inside) move(-1);
  else if (event.key === "Enter" && document.activeElement === search && shown().length) {
    shown()[0].click();
    target(shown()[0]).querySelector("h2, h3").setAttribute("tabindex", "-1");
    target(shown()[0]).querySelector("h2, h3").focus();
  } else if (event.key === "Escape" && inside) {
    search.value = "";
    filter();
    search.focus();
  } else return;
  event.preventDefault();
});
if (matchMedia("(max-width: 52rem)").matches) contents.open = false;
