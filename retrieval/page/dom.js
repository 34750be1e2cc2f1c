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

/** Replace what a list has; a keyboard that was at one of its buttons stays there, or goes to the pictures. */
export function refill(list, ...children) {
  const buttons = () => [...list.querySelectorAll("button")];
  const at = buttons().indexOf(document.activeElement);
  list.replaceChildren(...children);
  if (at >= 0) (buttons()[at] || buttons().at(-1) || byId("results")).focus({ preventScroll: true });
}

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

const TITLES = ["title", "name"]; // fields that say what an image is called

/** The field by which an image is called; undefined if its file alone has a name. */
export const titleField = ({ fields }) => TITLES.find((each) => typeof fields[each] === "string" && fields[each]);

/** What an image is called: by its own field, or by its file, without folder and ending. */
export function title(image) {
  const field = titleField(image);
  if (field) return image.fields[field];
  return words(image.name.slice(image.name.lastIndexOf("/") + 1).replace(/\.\w{2,5}$/, ""));
}

/** Return a function that does `work` once it has not been called for some milliseconds. */
export function settled(work, milliseconds) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...args), milliseconds);
  };
}
