// The filters at the side: groups of attributes and imported fields, each value with its count.
//
// The elements are made once for each catalogue; answers only change counts and ticks, so that
// nothing moves and the keyboard keeps its place.

import { between, count, el, number, settled, words } from "./dom.js";
import { ranged, toggled } from "./state.js";
import { isDrawn, swatch } from "./swatches.js";

const KINDS = { attribute: "has", text: "is", number: "range" };
const FEW = 12; // texts of a field that need not be folded
const FOLDED = 14; // groups whose place is kept until they are known
const folded = () => Array.from({ length: FOLDED }, () => el("div.skeleton"));

/** The filters of one catalogue. `change` is called with the part of the state that changes. */
export class Facets {
  constructor(change) {
    this.change = change;
    this.state = null;
    this.groups = new Map();
    this.search = el("input.facet-search", {
      type: "search",
      placeholder: "Find a filter",
      "aria-label": "Find a filter",
      autocomplete: "off",
      spellcheck: "false",
      oninput: () => this.find(),
      onkeydown: (event) => {
        if (event.key === "Escape" && this.search.value) {
          event.stopPropagation();
          event.preventDefault();
          this.search.value = "";
          this.find();
        }
      },
    });
    this.list = el("div.groups", {}, ...folded());
    this.none = el("p.no-filter", { hidden: true }, "No filter has that name.");
    this.element = el(
      "div.facets",
      {},
      el("div.facet-find", {}, this.search, el("kbd", { "aria-hidden": "true" }, "/")),
      this.none,
      this.list,
    );
  }

  /** Begin with the groups of a catalogue; values that none of its images has are left out. */
  open(groups) {
    this.missing = new Set(
      groups.flatMap(({ group, values }) =>
        values.filter(({ images }) => !images).map(({ value }) => `${group}=${value}`),
      ),
    );
    this.groups.clear();
    this.list.replaceChildren(...folded());
    this.search.value = "";
  }

  /** Show counts and what is chosen. Fields come first: they are the merchant's own. */
  show(state, facets) {
    this.state = state;
    this.rest();
    const ordered = [...facets].sort((one, other) => (one.kind === "attribute") - (other.kind === "attribute"));
    for (const facet of ordered) {
      const key = `${facet.kind}:${facet.name}`;
      if (!this.groups.has(key)) {
        const made = facet.kind === "number" ? new Range(this, facet) : new Values(this, facet);
        this.groups.set(key, made);
        this.list.append(made.element);
      }
      this.groups.get(key).show(facet);
    }
    this.find();
  }

  /** Keep no place for groups that are not known. */
  rest() {
    if (!this.groups.size) this.list.replaceChildren();
  }

  /** Show what is chosen before its counts are known. */
  tick(state) {
    this.state = state;
    for (const group of this.groups.values()) group.tick();
  }

  find() {
    const sought = this.search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let any = false;
    for (const group of this.groups.values()) any = group.find(sought) || any;
    this.none.hidden = any || !this.groups.size;
  }
}

class Group {
  constructor(facets, facet) {
    this.facets = facets;
    this.name = facet.name;
    this.kind = KINDS[facet.kind];
    this.label = words(facet.name);
    this.chosen = el("span.chosen", { hidden: true });
    this.element = el(
      "details.group-box",
      {},
      el("summary", {}, el("span.group-name", {}, this.label), this.chosen),
    );
    // What the merchant imported is there to choose from, unless nearly every image has its own.
    if (facet.kind !== "attribute") this.element.open = facet.different <= FEW;
  }

  /** Name what is chosen beside the group, which may be folded; `told` are texts or elements. */
  showChosen(told) {
    this.chosen.hidden = !told.length;
    this.chosen.replaceChildren(el("span.unseen", {}, "chosen: "), ...told);
  }

  /** Unfold while something is sought in it, and fold again as it was. */
  unfold(sought) {
    if (sought && this.before === undefined) this.before = this.element.open;
    if (sought) this.element.open = true;
    else if (this.before !== undefined) {
      this.element.open = this.before;
      this.before = undefined;
    }
  }
}

class Values extends Group {
  constructor(facets, facet) {
    super(facets, facet);
    this.rows = new Map();
    this.drawn = facet.kind === "attribute" && isDrawn(facet.values.map(([value]) => value));
    this.list = el("div.values", { role: "group", "aria-label": this.label });
    if (this.drawn) this.list.classList.add("drawn");
    this.element.append(this.list);
  }

  show(facet) {
    this.images = facet.images;
    for (const row of this.rows.values()) row.count = 0;
    for (const [value, images] of facet.values) {
      if (images || !this.facets.missing.has(`${this.name}=${value}`)) this.row(value).count = images;
    }
    for (const row of this.rows.values()) row.number.textContent = count(row.count);
    this.tick();
  }

  row(value) {
    if (!this.rows.has(value)) {
      const box = el("input", {
        type: "checkbox",
        onchange: () => this.facets.change(toggled(this.facets.state, this.kind, this.name, value)),
      });
      const row = { box, count: 0, number: el("span.count") };
      const name = this.kind === "has" ? words(value) : value;
      row.text = `${this.label} ${name}`.toLowerCase();
      row.element = el(
        "label.value",
        {},
        box,
        this.drawn ? swatch(value) : null,
        el("span.value-name", {}, name),
        " ",
        row.number,
      );
      this.rows.set(value, row);
      this.list.append(row.element);
    }
    return this.rows.get(value);
  }

  tick() {
    const chosen = this.facets.state[this.kind][this.name] || [];
    for (const value of chosen) this.row(value); // a link may name what no image has
    for (const [value, row] of this.rows) row.box.checked = chosen.includes(value);
    for (const row of this.rows.values()) {
      row.element.classList.toggle("none", row.count === 0 && !row.box.checked);
    }
    const name = this.kind === "has" ? words : (value) => value;
    const dots = this.drawn ? chosen.map(swatch) : [];
    this.showChosen(chosen.length ? [...dots, chosen.map(name).join(", ")] : []);
  }

  /** Show the values whose text, with the group's, has all that is sought; say if there are any. */
  find(sought) {
    let any = false;
    for (const row of this.rows.values()) {
      const seen = sought.every((each) => row.text.includes(each));
      row.element.hidden = !seen;
      any = any || seen;
    }
    this.element.hidden = !any;
    this.unfold(sought.length > 0 && any);
    return any;
  }
}

class Range extends Group {
  constructor(facets, facet) {
    super(facets, facet);
    const later = settled(() => this.read(), 400);
    this.ends = ["from", "to"].map((word) =>
      el("input", {
        type: "number",
        step: "any",
        "aria-label": `${this.label} ${word}`,
        oninput: later,
        onchange: () => this.read(),
      }),
    );
    this.element.append(
      el("div.range", {}, this.ends[0], el("span", { "aria-hidden": "true" }, "to"), this.ends[1]),
    );
  }

  read() {
    const [from, to] = this.ends.map((end) => (end.value === "" ? null : end.valueAsNumber));
    const [now, then] = this.facets.state.range[this.name] || [null, null];
    if (from !== now || to !== then) this.facets.change(ranged(this.facets.state, this.name, from, to));
  }

  show(facet) {
    for (const [at, end] of [facet.least, facet.greatest].entries()) {
      this.ends[at].placeholder = end === null ? "" : number(end);
    }
    this.tick();
  }

  tick() {
    const ends = this.facets.state.range[this.name] || [null, null];
    for (const [at, end] of ends.entries()) {
      const input = this.ends[at];
      if (document.activeElement !== input || end === null) input.value = end ?? "";
    }
    this.showChosen(ends.some((end) => end !== null) ? [between(...ends)] : []);
  }

  find(sought) {
    const seen = sought.every((each) => this.label.toLowerCase().includes(each));
    this.element.hidden = !seen;
    this.unfold(sought.length > 0 && seen);
    return seen;
  }
}
