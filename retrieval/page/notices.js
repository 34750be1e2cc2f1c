// What the page has to say: quiet notices above the pictures, and why there are none.

import { byId, el, icon, ICONS, percent, refill, words } from "./dom.js";

/** Say something above the pictures; `act` is `[label, function]`. */
export function notice(sentence, { wrong = false, act = null } = {}) {
  const close = el("button.close", { type: "button", "aria-label": "Dismiss" }, icon(ICONS.close));
  const box = el("div.notice", { role: wrong ? "alert" : "status" }, el("p", {}, sentence));
  if (wrong) box.classList.add("wrong");
  if (act) {
    const [label, work] = act;
    box.append(button("link-button", label, () => (box.remove(), work())));
  }
  close.addEventListener("click", () => box.remove());
  box.append(close);
  byId("notices").append(box);
}

export function clearNotices() {
  byId("notices").replaceChildren();
}

/** Say in place of the pictures why there are none; `acts` are `[label, function]`. */
export function trouble({ heading, detail, acts, wrong = false }) {
  const [first, ...lines] = detail.split("\n");
  const shown = [el("h2", {}, heading), el("p", {}, first)];
  if (lines.length) shown.push(el("pre", {}, lines.join("\n"))); // points into a wrong filter
  const buttons = acts.map(([label, work], at) => button(at ? "quiet-button" : "main-button", label, work));
  if (buttons.length) shown.push(el("div.buttons", {}, ...buttons));
  byId("trouble").replaceChildren(el("div.trouble", { role: wrong ? "alert" : "status" }, ...shown));
}

/** A reason of the service, `no image has size=small>=0.9`, as people write it. */
export function plainly(reason) {
  const text = (reason || "")
    .replace(/=([^\s=<>]+)>=([\d.]+)/g, (_, value, sure) => `=${value} (${percent(Number(sure))} sure)`)
    .replaceAll("<=", " up to ")
    .replaceAll(">=", " from ")
    .replace(/(\w)=/g, "$1 ");
  return text && `${text[0].toUpperCase()}${words(text.slice(1))}.`;
}

export function untroubled() {
  refill(byId("trouble"));
}

const button = (kind, label, work) => el(`button.${kind}`, { type: "button", onclick: work }, label);
