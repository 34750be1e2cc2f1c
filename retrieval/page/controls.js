// What is set beside filters: looks or attributes, the confidence, the order, near duplicates.

import { byId, el, settled, words } from "./dom.js";
import { hasPicture } from "./state.js";

const WAIT = 120; // milliseconds a slider rests before there is a search

/** A slider from 0 to 100; `told` words its value. */
function slider(label, told, set) {
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
  const show = (value) => {
    if (document.activeElement !== input || !input.matches(":active")) input.value = value;
    seen();
  };
  return { input, output, show };
}

/** The sliders. `change` is called with the part of the state that changes. */
export class Sliders {
  constructor(change) {
    this.balance = slider(
      "Likeness",
      (value) => (value === 0 ? "looks alone" : value === 100 ? "attributes alone" : `${value}% attributes`),
      (value) => change({ weight: (100 - value) / 100 }),
    );
    this.sure = slider(
      "Confidence",
      (value) => (value === 0 ? "as the model judges" : `at least ${value}% sure`),
      (value) => change({ sure: value === 0 ? null : value / 100 }),
    );
    const end = (word) => el("span", { "aria-hidden": "true" }, word);
    this.place = byId("balance");
    this.place.append(end("Looks"), this.balance.input, end("Attributes"));
    const head = el("div.slider-head", {}, el("span", {}, "Confidence"), this.sure.output);
    this.element = el("div.slider", {}, head, this.sure.input);
  }

  show(state) {
    this.balance.show(Math.round((1 - state.weight) * 100));
    this.sure.show(Math.round((state.sure ?? 0) * 100));
    this.place.hidden = !hasPicture(state);
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
      (this.orderLabel = el("label.tool", { hidden: true }, el("span", { "aria-hidden": "true" }, "Order"), this.order)),
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
