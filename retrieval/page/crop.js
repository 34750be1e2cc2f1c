// Choosing the part of the query picture that is meant: a rectangle to draw, move and stretch.
//
// By keyboard: arrows move it, with Shift they move its lower right corner.

import * as api from "./api.js";
import { byId, el, percent } from "./dom.js";

const STEP = 0.02; // of a side, for an arrow key
const LEAST = 0.05; // of a side, below which no part is meant
const WHOLE = [0, 0, 1, 1];
const EDGES = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const rounded = (rectangle) => rectangle.map((each) => Math.round(each * 1000) / 1000);

/** A dialog in which a part is chosen; `change` takes the part of the state. */
export class Cropper {
  constructor(change) {
    this.change = change;
    this.dialog = byId("cropper");
    this.picture = el("img", { alt: "Your picture", draggable: "false" });
    const handles = EDGES.map((edge) => el("i", { "data-edge": edge }));
    this.frame = el("div.frame", { tabindex: "0", role: "group", "aria-describedby": "crop-help" }, ...handles);
    this.stage = el("div.stage", {}, this.picture, el("div.shade", {}, el("i")), this.frame);
    this.done = el("button.main-button", { type: "button", onclick: () => this.apply() }, "Search with this part");
    this.dialog.append(
      el("h2", { id: "crop-title" }, "Which part do you mean?"),
      el(
        "p.help",
        { id: "crop-help" },
        "Draw a rectangle",
        el("span.by-key", {}, ", or move it with the arrow keys; with Shift they change its size"),
        ".",
      ),
      this.stage,
      el(
        "div.buttons",
        {},
        this.done,
        el("button.quiet-button", { type: "button", onclick: () => this.set(WHOLE) }, "The whole picture"),
        el("button.link-button", { type: "button", onclick: () => this.dialog.close() }, "Cancel"),
      ),
    );
    this.stage.addEventListener("pointerdown", (event) => this.grab(event));
    this.frame.addEventListener("keydown", (event) => this.key(event));
  }

  open(state, token) {
    this.picture.src = api.thumbnail(state.catalog, { token }, 800);
    this.set(state.crop || WHOLE);
    this.dialog.showModal();
    this.frame.focus();
  }

  apply() {
    const all = this.rectangle.every((each, at) => each === WHOLE[at]);
    this.dialog.close();
    this.change({ crop: all ? null : this.rectangle });
  }

  set(rectangle) {
    this.rectangle = rounded(rectangle);
    const [left, top, width, height] = this.rectangle;
    const places = { left, top, width, height };
    for (const [name, share] of Object.entries(places)) this.stage.style.setProperty(`--${name}`, `${share * 100}%`);
    const size = `${percent(width)} of its width and ${percent(height)} of its height`;
    this.frame.setAttribute("aria-label", `Part: ${size}, ${percent(left)} from the left, ${percent(top)} from the top`);
  }

  /** Begin to draw, move or stretch, by where the pointer went down. */
  grab(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.frame.focus();
    const box = this.picture.getBoundingClientRect();
    const at = (each) => [
      clamp((each.clientX - box.left) / box.width, 0, 1),
      clamp((each.clientY - box.top) / box.height, 0, 1),
    ];
    const begin = at(event);
    const before = this.rectangle;
    const whole = before.every((each, index) => each === WHOLE[index]);
    const edge = event.target.dataset.edge;
    let follow;
    if (edge) follow = (now) => stretched(before, edge, now);
    else if (event.target === this.frame && !whole) {
      follow = (now) => moved(before, now[0] - begin[0], now[1] - begin[1]);
    } else follow = (now) => between(begin, now);
    const move = (each) => this.set(follow(at(each)));
    const end = () => {
      this.stage.removeEventListener("pointermove", move);
      const [, , width, height] = this.rectangle;
      if (width < LEAST || height < LEAST) this.set(before);
    };
    this.stage.setPointerCapture(event.pointerId);
    this.stage.addEventListener("pointermove", move);
    this.stage.addEventListener("lostpointercapture", end, { once: true });
  }

  key(event) {
    if (event.key === "Enter") {
      event.preventDefault(); // or it would press the button that has the keyboard afterwards
      this.apply();
    }
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault();
    const [x, y] = arrow.map((each) => each * STEP);
    const [left, top, width, height] = this.rectangle;
    if (!event.shiftKey) this.set(moved(this.rectangle, x, y));
    else this.set([left, top, clamp(width + x, LEAST, 1 - left), clamp(height + y, LEAST, 1 - top)]);
  }
}

function moved([left, top, width, height], x, y) {
  return [clamp(left + x, 0, 1 - width), clamp(top + y, 0, 1 - height), width, height];
}

function between([x, y], [toX, toY]) {
  return [Math.min(x, toX), Math.min(y, toY), Math.abs(toX - x), Math.abs(toY - y)];
}

function stretched([left, top, width, height], edge, [x, y]) {
  const right = left + width;
  const bottom = top + height;
  const from = [edge.includes("w") ? clamp(x, 0, right - LEAST) : left, edge.includes("n") ? clamp(y, 0, bottom - LEAST) : top];
  const to = [edge.includes("e") ? clamp(x, left + LEAST, 1) : right, edge.includes("s") ? clamp(y, top + LEAST, 1) : bottom];
  return between(from, to);
}
