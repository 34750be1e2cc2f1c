// Where filters and order are: beside and above the hits of a wide window, in a sheet on a phone.

import { byId, el, images } from "./dom.js";

/** Moves the filters to where there is room for them. */
export class Sheet {
  constructor(content, search) {
    Object.assign(this, { content, search });
    this.dialog = byId("sheet");
    this.opener = byId("open-sheet");
    this.done = el("button.main-button", { type: "button", onclick: () => this.dialog.close() }, "Show");
    this.place = el("div.sheet-content");
    this.dialog.append(this.place, el("div.sheet-foot", {}, this.done));
    this.opener.addEventListener("click", () => this.dialog.showModal());
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close(); // on the backdrop
    });
    this.narrow = window.matchMedia("(max-width: 56rem)");
    this.narrow.addEventListener("change", () => this.move());
    this.move();
  }

  move() {
    const tools = byId("tools");
    if (this.narrow.matches) this.place.append(tools, this.content);
    else {
      this.dialog.close();
      byId("side").append(this.content);
      this.opener.after(tools);
    }
  }

  show(state) {
    const chosen = [state.has, state.is, state.range].flatMap(Object.keys).length;
    this.opener.textContent = chosen ? `Filters (${chosen})` : "Filters";
  }

  count(total) {
    this.done.textContent = `Show ${images(total)}`;
  }

  /** Put the keyboard into the search for filters. */
  find() {
    if (this.narrow.matches && !this.dialog.open) this.dialog.showModal();
    this.search.focus();
    this.search.select();
  }
}
