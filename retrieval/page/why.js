// Why a hit was found: its attributes beside the query's, and where in the pictures they are seen.
//
// The panel comes to a hit that the pointer or the keyboard rests on, and stays when it is asked
// for by the hit's button. Heat maps take a second, so one is fetched only for the attribute rested on.

import * as api from "./api.js";
import { attribute, byId, el, icon, ICONS, percent, settled, title } from "./dom.js";
import { hasPicture } from "./state.js";

const MOST = 7; // attributes told
const REST = 450; // milliseconds on a hit until the panel comes
const LEAVE = 250; // and until it goes
const HEAT_REST = 180;
const LARGE = 1600; // pixels of a side, at most
const PATIENCE = 1500; // milliseconds of a heat map until it is said that it takes long

const TOUCH = window.matchMedia("(hover: none)");

/** The panel. `current` returns the state; `acts` are what its buttons do with the id of the hit. */
export class Why {
  constructor({ current, acts }) {
    Object.assign(this, { current, acts });
    this.panel = byId("why");
    this.hit = null;
    this.pinned = false;
    this.soon = settled((show) => show?.(), REST);
    this.later = settled((close) => close?.(), LEAVE);
    this.panel.addEventListener("pointerenter", () => this.later(null));
    this.panel.addEventListener("pointerleave", () => this.leave());
    this.panel.addEventListener("focusin", () => (this.pinned = true));
    this.panel.addEventListener("keydown", (event) => this.tab(event));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.hit && !document.querySelector("dialog[open]")) this.close();
    });
    document.addEventListener("pointerdown", (event) => {
      if (this.hit && !this.panel.contains(event.target) && !this.tile.contains(event.target)) this.close();
    });
    let last = "";
    const track = ({ clientX, clientY }) => {
      const now = `${clientX} ${clientY}`;
      this.pointerMoved = now !== last; // or else the page moved below it
      last = now;
    };
    document.addEventListener("pointermove", track, { capture: true });
    window.addEventListener("scroll", () => this.pinned || this.close(), { passive: true });
    window.addEventListener("resize", () => this.hit && this.place());
  }

  /** Have the panel come to a tile of the wall. */
  watch(tile, link, button, hit) {
    const rest = () => {
      this.later(null);
      if (!this.pinned) this.soon(() => this.open(tile, button, hit));
    };
    tile.addEventListener("pointermove", (event) => {
      if (this.pointerMoved && event.pointerType === "mouse" && this.hit !== hit) rest();
    });
    tile.addEventListener("pointerleave", () => this.leave());
    link.addEventListener("focus", () => link.matches(":focus-visible") && rest());
    link.addEventListener("blur", (event) => {
      if (event.relatedTarget !== button && !this.panel.contains(event.relatedTarget)) this.leave();
    });
    button.addEventListener("click", () => {
      if (this.hit === hit && this.pinned) this.close();
      else this.pin(tile, button, hit);
    });
  }

  pin(tile, button, hit) {
    this.soon(null);
    this.later(null); // a finger that taps leaves the tile before it clicks
    if (this.hit !== hit) this.open(tile, button, hit);
    this.pinned = true;
    this.panel.querySelector(".why-close").focus({ preventScroll: true });
  }

  /** Whoever tabs out of the panel is at its hit again, and not at the end of the page. */
  tab(event) {
    if (event.key !== "Tab") return;
    const all = [...this.panel.querySelectorAll("a, button")];
    if (event.target !== (event.shiftKey ? all[0] : all.at(-1))) return;
    event.preventDefault();
    this.close();
  }

  leave() {
    this.soon(null);
    if (!this.pinned) this.later(() => this.close());
  }

  open(tile, button, hit) {
    if (!tile.isConnected) return;
    this.close();
    Object.assign(this, { tile, button, hit });
    button.setAttribute("aria-expanded", "true");
    tile.classList.add("explained");
    this.fill();
    this.panel.hidden = false;
    this.place();
  }

  close() {
    this.soon(null);
    if (!this.hit) return;
    const inside = this.panel.contains(document.activeElement);
    this.stop?.abort();
    this.panel.hidden = true;
    this.button.setAttribute("aria-expanded", "false");
    this.tile.classList.remove("explained");
    this.hit = null;
    this.pinned = false;
    if (inside) this.button.focus({ preventScroll: true });
  }

  /** Put the panel beside its tile: to the right if there is room, else to the left. */
  place() {
    const tile = this.tile.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.panel;
    const gap = 12;
    const right = tile.right + gap + width <= window.innerWidth;
    const left = right ? tile.right + gap : Math.max(gap, tile.left - gap - width);
    const top = Math.min(Math.max(gap, tile.top), Math.max(gap, window.innerHeight - height - gap));
    this.panel.style.left = `${left}px`;
    this.panel.style.top = `${top}px`;
  }

  async fill() {
    const { hit } = this;
    const state = this.current();
    this.seen = []; // pictures that heat is shown on
    const likeness = hasPicture(state);
    const close = el("button.why-close", { type: "button", "aria-label": "Close" }, icon(ICONS.close));
    close.addEventListener("click", () => this.close());
    const enlarge = { href: api.thumbnail(state.catalog, { id: hit.id }, LARGE), target: "_blank" };
    const large = el("a.why-large", { ...enlarge, "aria-label": "See it large", title: "See it large" }, icon(ICONS.large));
    const pictures = el("div.pair", {});
    if (likeness) {
      const [token] = state.pictures;
      const what = token ? { token, crop: state.crop } : { id: state.like[0] };
      pictures.append(this.picture(state, what, "query", "the query"));
    }
    pictures.append(this.picture(state, { id: hit.id }, "hit", `hit ${hit.rank}`));
    this.caption = el("p.heat-note", { role: "status" }, `${TOUCH.matches ? "Tap" : "Rest on"} an attribute to see where it is seen.`);
    this.table = el("ul.telling", { "aria-label": "Attributes that tell most" });
    this.panel.replaceChildren(
      el("div.why-head", {}, el("h2", {}, title(hit)), large, close),
      pictures,
      this.caption,
      this.table,
      ...this.sum(state, hit),
      this.buttons(hit, likeness),
    );
    this.panel.setAttribute("aria-label", likeness ? `Why hit ${hit.rank} is similar` : `What hit ${hit.rank} has`);
    if (likeness && hit.explanation) this.tell(hit.explanation.attributes.slice(0, MOST));
    else await this.ask(state, hit);
  }

  /** Without a picture to compare with, tell what the image itself has. */
  async ask(state, hit) {
    this.stop = new AbortController();
    this.table.replaceChildren(...Array.from({ length: MOST }, () => el("li.skeleton")));
    try {
      const image = await api.image(state.catalog, hit.id, this.stop.signal);
      const chosen = ({ name }) => Boolean(state.has[name.split("=")[0]]?.includes(name.split("=")[1]));
      const ordered = image.attributes.toSorted((one, other) => chosen(other) - chosen(one));
      this.tell(ordered.slice(0, MOST).map(({ name, probability }) => ({ name, query: null, hit: probability })));
    } catch (error) {
      if (!api.isAbort(error)) this.table.replaceChildren(el("li", {}, error.message));
    }
  }

  tell(parts) {
    const show = settled((name, row) => this.heat(name, row), HEAT_REST);
    const rows = parts.map((part) => {
      const told = part.query === null ? percent(part.hit) : `query ${percent(part.query)}, hit ${percent(part.hit)}`;
      const row = el(
        "button.part",
        { type: "button", "aria-pressed": "false" },
        el("span.part-name", {}, ...attribute(part.name)),
        el("span.unseen", {}, `: ${told}. Show where.`),
        el(
          "span.bars",
          { "aria-hidden": "true" },
          part.query === null ? null : bar("query", part.query),
          bar("hit", part.hit),
        ),
        el("span.part-number", { "aria-hidden": "true" }, percent(part.hit)),
      );
      row.addEventListener("pointerenter", () => show(part.name, row));
      row.addEventListener("focus", () => row.matches(":focus-visible") && show(part.name, row));
      row.addEventListener("click", () => show(part.name, row));
      return el("li", {}, row);
    });
    this.table.replaceChildren(...rows);
    this.place();
  }

  picture(state, what, kind, told) {
    const under = el("img", { src: api.thumbnail(state.catalog, what), alt: `Picture of ${told}` });
    const figure = el("figure", { "data-kind": kind }, under, el("figcaption", {}, kind));
    this.seen.push({ figure, what, told });
    return figure;
  }

  /** Show where an attribute is seen, on each picture as soon as its heat map is there. */
  heat(name, row) {
    if (!row.isConnected || row.getAttribute("aria-pressed") === "true") return;
    for (const other of this.table.querySelectorAll(".part")) {
      other.setAttribute("aria-pressed", String(other === row));
    }
    const { catalog } = this.current();
    let open = this.seen.length;
    const told = attribute(name);
    this.caption.replaceChildren("Looking for ", ...told, " …");
    clearTimeout(this.patience);
    this.patience = setTimeout(() => {
      if (row.isConnected && open > 0) this.caption.append(" the first time takes a few seconds");
    }, PATIENCE);
    for (const { figure, what, told: whose } of this.seen) {
      figure.querySelector(".heat")?.remove();
      figure.classList.add("warming");
      const map = el("img.heat", { alt: `Where ${name.replace("=", " ")} is seen in ${whose}` });
      const over = (sentence) => {
        if (!map.isConnected) return; // another attribute is rested on by now
        figure.classList.remove("warming");
        if (sentence) this.caption.textContent = sentence;
        else if (--open === 0) this.caption.replaceChildren("Where ", ...told, " is seen");
      };
      map.addEventListener("load", () => {
        map.classList.add("there");
        over(null);
      });
      map.addEventListener("error", () => over("The heat map could not be made."));
      map.src = api.heatmap(catalog, what, name);
      figure.append(map);
    }
  }

  sum(state, hit) {
    if (!hit.explanation || state.weight === 1) return [];
    const { looks } = hit.explanation;
    const rest = Math.max(0, hit.score - (looks ?? 0));
    const told = `${(looks ?? 0).toFixed(2)} by looks and ${rest.toFixed(2)} by attributes`;
    return [el("p.sum", {}, `Score ${hit.score.toFixed(2)}: ${told}`)];
  }

  buttons(hit, likeness) {
    const act = (label, work) =>
      el("button.link-button", { type: "button", onclick: () => (this.close(), work(hit.id)) }, label);
    return el(
      "div.acts",
      {},
      act("More like this", this.acts.like),
      likeness ? act("Add to the search", this.acts.add) : null,
      likeness ? act("Not like this", this.acts.avoid) : null,
    );
  }
}

function bar(kind, share) {
  const filled = el("i");
  filled.style.width = percent(share);
  return el("span.bar", { "data-kind": kind }, filled);
}
