// Colours and patterns that can be drawn beside their names; how, is in facets.css.

import { el } from "./dom.js";

const COLOURS = new Set(
  "blue brown iridescent purple rufous grey yellow olive green pink orange black white red buff".split(" "),
);
const PATTERNS = new Set("solid spotted striped multi-colored".split(" "));

export const drawable = (value) => COLOURS.has(value) || PATTERNS.has(value);

const areAll = (values, set) => values.length > 0 && values.every((each) => set.has(each));

/** Whether the values of a group are all colours, or patterns, that can be drawn. */
export const isDrawn = (values) => areAll(values, COLOURS) || areAll(values, PATTERNS);

export const swatch = (value) => el("span.swatch", { "data-value": value, "aria-hidden": "true" });
