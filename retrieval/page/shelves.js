// The start, when nothing is searched for yet: a few attributes, each with the image that shows it best.

import * as api from "./api.js";
import { el, images, words } from "./dom.js";
import { EMPTY, toAddress } from "./state.js";
import { isDrawn, swatch } from "./swatches.js";

const MOST = 8; // values of a shelf
const CANDIDATES = 6; // images of a value, so that no image is shown twice

/** The groups that tell most of a catalogue: one that can be drawn, and one that cannot. */
function telling(groups) {
  const spread = (group) => group.values.filter((each) => each.images > 0).length;
  const rank = (group) => (group.group.includes("primary") ? 100 : 0) + spread(group);
  const best = (some) => some.toSorted((one, other) => rank(other) - rank(one))[0];
  const drawn = (group) => isDrawn(group.values.map((each) => each.value));
  const short = groups.filter((group) => spread(group) > 1);
  return [best(short.filter(drawn)), best(short.filter((group) => !drawn(group)))].filter(Boolean);
}

/** What keeps the place of the shelves until they are there. */
export function shelvesToCome() {
  const blank = "\u00a0";
  const card = () =>
    el("li", {}, el("span.card-to-come", {}, el("i.skeleton"), el("span.card-name", {}, blank), el("span.count", {}, blank)));
  const cards = () => Array.from({ length: MOST }, card);
  return [1, 2].map(() => el("div.shelf", { "aria-hidden": "true" }, el("h2", {}, blank), el("ul", {}, ...cards())));
}

/** Make the shelves of a catalogue. */
export async function shelves(catalog, groups, signal) {
  const shown = new Set();
  const made = [];
  for (const group of telling(groups)) {
    const values = group.values
      .filter((each) => each.images > 0)
      .toSorted((one, other) => other.images - one.images)
      .slice(0, MOST);
    const answers = await Promise.all(
      values.map(({ value }) => {
        const where = [{ attr: group.group, in: [value] }];
        return api.search(catalog, { where, limit: CANDIDATES }, signal);
      }),
    );
    const cards = [];
    for (const [at, { value }] of values.entries()) {
      const hit = answers[at].hits.find((each) => !shown.has(each.id)) || answers[at].hits[0];
      if (!hit) continue;
      shown.add(hit.id);
      cards.push(card(catalog, group, value, hit, answers[at].total));
    }
    const name = words(group.group);
    made.push(el("div.shelf", {}, el("h2", {}, `By ${name}`), el("ul", { "aria-label": name }, ...cards)));
  }
  return made;
}

function card(catalog, group, value, hit, total) {
  const state = { ...EMPTY, catalog, has: { [group.group]: [value] } };
  const picture = el("img", {
    src: api.thumbnail(catalog, { id: hit.id }),
    alt: "",
    width: hit.width,
    height: hit.height,
    loading: "lazy",
  });
  const drawn = isDrawn(group.values.map((each) => each.value));
  const name = el("span.card-name", {}, drawn ? swatch(value) : null, words(value));
  const properties = { href: toAddress(state), "data-group": group.group, "data-value": value };
  return el("li", {}, el("a.card", properties, picture, name, " ", el("span.count", {}, images(total))));
}
