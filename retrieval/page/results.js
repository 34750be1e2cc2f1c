// The wall of hits: rows of pictures in their own proportions, going on as one scrolls.
//
// A hit takes its place before its picture is there, since answers tell how wide and high it is.

import * as api from "./api.js";
import { byId, count, el, number, title, titleField } from "./dom.js";
import { toAddress } from "./state.js";

const SKELETONS = [1.5, 0.8, 1.33, 1, 1.5, 1.25, 0.75, 1.5, 1.33, 1.1, 0.9, 1.5];
const NARROWEST = 0.6; // width over height; what is beyond is cut a little
const WIDEST = 2.2;

/** The hits. `more` is called near the end; `likeThis` with the id of a hit that is clicked. */
export class Results {
  constructor({ more, likeThis, explain }) {
    Object.assign(this, { likeThis, explain });
    this.list = byId("hits");
    this.hits = new Map(); // by element
    this.button = el("button.quiet-button", { type: "button", onclick: more }, "Show more");
    this.end = byId("end");
    this.end.append(this.button);
    this.watch = new IntersectionObserver(
      (entries) => {
        if (entries.some((each) => each.isIntersecting)) more();
      },
      { rootMargin: "1200px 0px" },
    );
    this.goesOn(false);
    this.list.addEventListener("keydown", (event) => this.key(event));
  }

  /** Go from hit to hit by arrows: along the wall, or to the nearest hit of the row above or below. */
  key(event) {
    if (!event.target.matches(".picture") || event.metaKey || event.ctrlKey || event.altKey) return;
    const tiles = [...this.hits.keys()];
    const now = event.target.parentElement;
    const at = tiles.indexOf(now);
    const next = {
      ArrowLeft: () => tiles[at - 1],
      ArrowRight: () => tiles[at + 1],
      ArrowUp: () => nearest(now, tiles.slice(0, at).reverse()),
      ArrowDown: () => nearest(now, tiles.slice(at + 1)),
      Home: () => tiles[0],
      End: () => tiles.at(-1),
    }[event.key]?.();
    if (!next) return;
    event.preventDefault();
    next.querySelector(".picture").focus();
  }

  /** Grey out what is there while a search goes on, or hold its place if nothing is there yet. */
  wait() {
    this.list.setAttribute("aria-busy", "true");
    if (this.hits.size) return;
    this.list.replaceChildren(...SKELETONS.map((ratio) => place(ratio, "li.hit.skeleton")));
  }

  clear() {
    this.hits.clear();
    this.list.replaceChildren();
    this.list.removeAttribute("aria-busy");
    this.goesOn(false);
  }

  show(state, answer) {
    const inside = this.list.contains(document.activeElement);
    this.clear();
    this.append(state, answer);
    if (inside) this.list.querySelector(".picture")?.focus({ preventScroll: true });
  }

  append(state, answer) {
    const made = answer.hits.map((hit) => this.tile(state, hit));
    this.list.append(...made);
    this.list.removeAttribute("aria-busy");
    this.goesOn(answer.next !== null);
  }

  /** Whether there is another page; watching begins anew, since the end has moved. */
  goesOn(does) {
    this.watch.unobserve(this.end);
    this.end.hidden = !does;
    if (does) this.watch.observe(this.end);
  }

  tile(state, hit) {
    const like = { ...state, pictures: [], like: [hit.id], unlike: [], crop: null };
    const ratio = hit.width / hit.height;
    const source = (side) => api.thumbnail(state.catalog, { id: hit.id }, side);
    const picture = el("img", {
      src: source(400),
      srcset: `${source(400)} 1x, ${source(800)} 2x`,
      alt: "",
      width: hit.width,
      height: hit.height,
      loading: hit.rank > 12 ? "lazy" : "eager",
      decoding: "async",
    });
    const link = el(
      "a.picture",
      { href: toAddress(like), "aria-label": `More like hit ${hit.rank}, ${title(hit)}` },
      picture,
    );
    picture.addEventListener("load", () => link.classList.add("there"), { once: true });
    picture.addEventListener(
      "error",
      () => {
        link.classList.add("lost");
        picture.replaceWith(el("span", {}, "This picture can no longer be read"));
      },
      { once: true },
    );
    link.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return; // a tab of its own
      event.preventDefault();
      if (event.detail > 1) return; // the second of a double click would meet what the first one found
      this.likeThis(hit.id);
    });
    const why = el(
      "button.why-button",
      { type: "button", "aria-label": `Why hit ${hit.rank}?`, "aria-expanded": "false", "aria-controls": "why" },
      "Why?",
    );
    const tile = place(ratio, "li.hit");
    tile.append(link, why, caption(hit));
    this.hits.set(tile, hit);
    this.explain(tile, link, why, hit);
    return tile;
  }
}

/** Of tiles, in the order in which rows are met, the one of the first other row that is closest. */
function nearest(tile, others) {
  const middle = tile.offsetLeft + tile.offsetWidth / 2;
  const row = others.find((each) => each.offsetTop !== tile.offsetTop)?.offsetTop;
  const away = (each) => Math.abs(each.offsetLeft + each.offsetWidth / 2 - middle);
  return others.filter((each) => each.offsetTop === row).toSorted((one, other) => away(one) - away(other))[0];
}

/** An element that keeps the place of a picture; rows are filled in proportion to the widths. */
function place(ratio, tag) {
  const made = el(tag);
  made.style.setProperty("--ratio", Math.min(Math.max(ratio, NARROWEST), WIDEST).toFixed(3));
  return made;
}

function caption(hit) {
  const first = el("p.caption", {}, el("span.rank", {}, count(hit.rank)), el("span.name", { title: hit.name }, title(hit)));
  if (hit.similarity !== null) {
    first.append(el("span.score", { title: "Score" }, hit.score.toFixed(2)));
  }
  const { [titleField(hit)]: _, ...others } = hit.fields;
  const told = Object.values(others).flat().filter((each) => ["string", "number"].includes(typeof each));
  const fields = told.map((each) => (typeof each === "number" ? number(each) : each)).join(" · ");
  const twins = hit.near_duplicates ? `+${count(hit.near_duplicates)} that look the same` : "";
  const second = [fields, twins].filter(Boolean).join(" · ");
  return el("div.captions", {}, first, second ? el("p.fields", { title: second }, second) : null);
}
