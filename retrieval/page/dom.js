// Helpers for making and wording elements. Text from the server only ever becomes text nodes.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: `el("p.note.quiet", {title: "…", onclick: f}, "text", child)`. */
export function el(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const node = document.createElement(name);
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Make an icon of 20 by 20 units from the path of its strokes. */
export function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const stroke = document.createElementNS(SVG, "path");
  stroke.setAttribute("d", path);
  svg.append(stroke);
  return svg;
}

export const ICONS = {
  close: "M5 5l10 10M15 5L5 15",
  large: "M12 4h4v4M16 4l-5 5M8 16H4v-4M4 16l5-5",
  crop: "M6 2v12h12M2 6h12v12",
  plus: "M10 4v12M4 10h12",
};

export const byId = (id) => document.getElementById(id);

/** `wing_color` as people write it. */
export const words = (name) => name.replaceAll("_", " ");

/** `wing_color=grey` as two spans, the value in bold. */
export function attribute(name) {
  const at = name.indexOf("=");
  return [el("span.group", {}, words(name.slice(0, at))), " ", el("b", {}, words(name.slice(at + 1)))];
}

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });

export const count = (number) => whole.format(number);
export const number = (value) => short.format(value);
/** A range of numbers, of which one end may be open, null. */
export function between(from, to) {
  if (from === null) return `up to ${number(to)}`;
  return to === null ? `from ${number(from)}` : `${number(from)} to ${number(to)}`;
}

export const percent = (share) => `${Math.round(share * 100)}%`;
export const images = (total) => (total === 1 ? "1 image" : `${count(total)} images`);

/** The file of `folder/file.jpg`, without its ending. */
export const title = (name) => words(name.slice(name.lastIndexOf("/") + 1).replace(/\.\w{2,5}$/, ""));

/** Return a function that does `work` once it has not been called for some milliseconds. */
export function settled(work, milliseconds) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...args), milliseconds);
  };
}
