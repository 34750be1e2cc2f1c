// What is set beside the filters: likeness or attributes, how sure, the order, near duplicates.

import { byId, el, percent, settled, words } from "./dom.js";
import { hasPicture } from "./state.js";

const WAIT = 120; // milliseconds a slider rests before there is a search

function slider(label, low, high, told, set) {
  const output = el("output");
  const input = el("input", { type: "range", min: 0, max: 100, step: 5, "aria-label": label });
  const seen = () => {
    output.textContent = told(Number(input.value));
    input.setAttribute("aria-valuetext", output.textContent);
    input.style.setProperty("--filled", `${input.value}%`);
  };
  const later = settled(() => set(Number(input.value)), WAIT);
  input.addEventListener("input", () => {
    seen();
    later();
  });
  const ends = low && el("div.ends", { "aria-hidden": "true" }, el("span", {}, low), el("span", {}, high));
  const head = el("div.slider-head", {}, el("span", {}, label), output);
  const element = el("div.slider", {}, head, input, ends);
  const show = (value) => {
    if (document.activeElement !== input || !input.matches(":active")) input.value = value;
    seen();
  };
  return { element, show };
}

/** The sliders. `change` is called with the part of the state that changes. */
export class Sliders {
  constructor(change) {
    this.balance = slider(
      "Likeness",
      "Looks",
      "Attributes",
      (value) => (value === 0 ? "looks alone" : value === 100 ? "attributes alone" : `${value}% attributes`),
      (value) => change({ weight: (100 - value) / 100 }),
    );
    this.sure = slider(
      "Sureness",
      null,
      null,
      (value) => (value === 0 ? "as the model judges" : `at least ${percent(value / 100)} sure`),
      (value) => change({ sure: value === 0 ? null : value / 100 }),
    );
    this.element = el("div.sliders", {}, this.balance.element, this.sure.element);
  }

  show(state) {
    this.balance.show(Math.round((1 - state.weight) * 100));
    this.sure.show(Math.round((state.sure ?? 0) * 100));
    this.balance.element.hidden = !hasPicture(state);
    this.sure.element.hidden = !Object.keys(state.has).length;
  }
}

/** The order of the hits and whether near duplicates are shown, above the hits. */
export class Tools {
  constructor(change) {
    this.best = el("option", { value: "" });
    this.order = el("select", {
      "aria-label": "Order",
      onchange: () => change({ sort: this.order.value || null }),
    });
    this.dedup = el("input", { type: "checkbox", onchange: () => change({ dedup: this.dedup.checked }) });
    this.element = byId("tools");
    this.element.append(
      el("label.tool", {}, this.dedup, el("span", {}, "Hide near duplicates")),
      (this.orderLabel = el("label.tool", {}, el("span", { "aria-hidden": "true" }, "Order"), this.order)),
    );
  }

  /** Offer the fields of a catalogue. */
  offer(fields) {
    const options = fields.flatMap((field) => [
      el("option", { value: field }, `${words(field)}, ascending`),
      el("option", { value: `-${field}` }, `${words(field)}, descending`),
    ]);
    this.order.replaceChildren(this.best, ...options);
    this.orderLabel.hidden = !fields.length;
  }

  show(state) {
    this.best.textContent = hasPicture(state) ? "most alike first" : "clearest first";
    this.order.value = state.sort || "";
    this.dedup.checked = state.dedup;
  }
}
