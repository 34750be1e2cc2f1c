// What is searched for, in words: the headline, and a chip to remove for each filter.

import { byId, count, el, icon, ICONS, images, number, percent, words } from "./dom.js";
import { hasFilter, hasPicture, ranged, toggled } from "./state.js";

/** The headline of a search. */
export function headline(state) {
  const pictures = state.pictures.length + state.like.length;
  if (!pictures) return hasFilter(state) ? "Images with" : "Find it by its looks";
  const like = pictures === 1 ? "Images like this one" : `Images like these ${pictures}`;
  const but = state.unlike.length ? " but not the faded" : "";
  return `${like}${but}${hasFilter(state) ? ", with" : ""}`;
}

/** Show a chip for each filter; `change` takes the part of the state that removing one changes. */
export function showChips(state, change) {
  const chips = [];
  for (const kind of ["has", "is"]) {
    for (const [name, values] of Object.entries(state[kind])) {
      for (const value of values) {
        const told = kind === "has" ? words(value) : value;
        chips.push(chip(words(name), told, () => change(toggled(state, kind, name, value))));
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
  byId("chips").replaceChildren(...chips);
}

function between(from, to) {
  if (from === null) return `up to ${number(to)}`;
  return to === null ? `from ${number(from)}` : `${number(from)} to ${number(to)}`;
}

function chip(name, value, remove) {
  const button = el(
    "button.chip",
    { type: "button", onclick: remove, "aria-label": `Remove ${name} ${value}` },
    el("span", {}, name, " ", el("b", {}, value)),
    icon(ICONS.close),
  );
  return el("li", {}, button);
}

/** How an answer was found, in plain words; `all` is how many images the catalogue has. */
export function outcome(state, answer, all) {
  const spent = Object.values(answer.milliseconds).reduce((sum, each) => sum + each, 0);
  const parts = [answer.total === all ? images(all) : `${count(answer.total)} of ${images(all)}`];
  parts.push(answer.exact ? "exact" : `nearly exact: about ${percent(answer.recall)} of the nearest`);
  if (state.sort && hasPicture(state) && answer.hits.length < answer.total) {
    parts.push(`the ${count(answer.hits.length)} most alike, in order`);
  }
  parts.push(spent < 1 ? "less than 1 ms" : `${count(Math.round(spent))} ms`);
  return parts.join(" · ");
}
