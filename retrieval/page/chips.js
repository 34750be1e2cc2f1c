// What is searched for, in words: the headline, and a chip to remove for each filter.

import { between, byId, count, el, icon, ICONS, images, percent, refill, words } from "./dom.js";
import { drawable, swatch } from "./swatches.js";
import { hasFilter, hasPicture, ranged, toggled } from "./state.js";

/** The headline of a search. */
export function headline(state) {
  const pictures = state.pictures.length + state.like.length;
  if (!pictures) return hasFilter(state) ? "Images with" : "Find it by its looks";
  const like = pictures === 1 ? "Images like this one" : `Images like these ${pictures}`;
  const but = state.unlike.length ? " but not the faded" : "";
  return `${like}${but}${hasFilter(state) ? ", with" : ""}`;
}

/** A search as a title of the page, by which it is found again in the history of the browser. */
export function inWords(state) {
  const chosen = [...Object.entries(state.has), ...Object.entries(state.is)];
  const values = chosen.map(([name, some]) => `${words(name)} ${some.map(words).join(" or ")}`);
  const ranges = Object.entries(state.range).map(([name, [from, to]]) => `${words(name)} ${between(from, to)}`);
  return `${headline(state)} ${[...values, ...ranges].join(", ")}`.trim();
}

/** Show a chip for each filter; `change` takes the part of the state that removing one changes. */
export function showChips(state, change) {
  const chips = [];
  for (const kind of ["has", "is"]) {
    for (const [name, values] of Object.entries(state[kind])) {
      for (const value of values) {
        const told = kind === "has" ? words(value) : value;
        const drawn = kind === "has" && drawable(value) ? swatch(value) : null;
        chips.push(chip(words(name), told, () => change(toggled(state, kind, name, value)), drawn));
      }
    }
  }
  for (const [name, [from, to]] of Object.entries(state.range)) {
    chips.push(chip(words(name), between(from, to), () => change(ranged(state, name, null, null))));
  }
  if (state.sure !== null && Object.keys(state.has).length) {
    chips.push(chip("at least", `${percent(state.sure)} sure`, () => change({ sure: null })));
  }
  if (chips.length > 1) {
    const all = () => change({ has: {}, is: {}, range: {}, sure: null });
    chips.push(el("li", {}, el("button.link-button", { type: "button", onclick: all }, "Clear all")));
  }
  refill(byId("chips"), ...chips);
}

function chip(name, value, remove, drawn = null) {
  const button = el(
    "button.chip",
    { type: "button", onclick: remove, "aria-label": `Remove ${name} ${value}` },
    drawn,
    el("span", {}, name, " ", el("b", {}, value)),
    icon(ICONS.close),
  );
  return el("li", {}, button);
}

/** How much was found and how, in plain words, and in what time; `all` is how many images there are. */
export function outcome(state, answer, all) {
  const spent = Object.values(answer.milliseconds).reduce((sum, each) => sum + each, 0);
  const parts = [answer.total === all ? images(all) : `${count(answer.total)} of ${images(all)}`];
  parts.push(answer.exact ? "exact" : `nearly exact: about ${percent(answer.recall)} of the nearest`);
  if (state.sort && hasPicture(state) && answer.hits.length < answer.total) {
    parts.push(`the ${count(answer.hits.length)} most alike, in order`);
  }
  const time = spent < 1 ? "less than 1 ms" : `${count(Math.round(spent))} ms`;
  return [parts.join(" · "), el("span.time", {}, ` · ${time}`)];
}
