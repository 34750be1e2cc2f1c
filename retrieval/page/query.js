// The pictures searched with: how they come in (picked, pasted, dropped), are shown, and removed.

import * as api from "./api.js";
import { byId, el, icon, ICONS, refill } from "./dom.js";
import { MOST_PICTURES } from "./state.js";

const OF_THE_FILE = new Set([413, 422]); // answers that say what is wrong with a file

/** Whether a file says itself that it is no picture; some, such as HEIC, say nothing. */
const isOther = (file) => file.type !== "" && !file.type.startsWith("image/");

/** The pictures of the query. `change` takes parts of the state, `tell` a sentence that went wrong. */
export class Query {
  constructor({ current, change, tell, crop }) {
    Object.assign(this, { current, change, tell, crop });
    this.list = byId("asked");
    this.file = byId("file");
    this.coming = []; // previews of pictures that are being sent
    this.previews = new Map(); // by token, so that no picture is fetched that is here already
    this.adding = false;
    this.file.addEventListener("change", () => {
      this.take([...this.file.files], this.adding);
      this.file.value = "";
    });
    for (const id of ["pick", "invite"]) byId(id).addEventListener("click", () => this.pick(false));
    document.addEventListener("paste", (event) => this.paste(event));
    this.listenForDrops();
  }

  pick(adding) {
    this.adding = adding;
    this.file.click();
  }

  paste(event) {
    const files = [...(event.clipboardData?.files || [])];
    const typing = event.target.closest?.("input, dialog[open]");
    if (files.length) {
      event.preventDefault();
      this.take(files, false);
    } else if (!typing && event.clipboardData?.types.includes("text/plain")) {
      this.tell(["What was pasted is text. Copy the picture itself, or drop its file here."]);
    }
  }

  listenForDrops() {
    const veil = byId("drop");
    let depth = 0; // elements below the pointer that were entered and not yet left
    const brings = (event) => event.dataTransfer?.types.includes("Files");
    const show = (entered) => {
      depth = entered;
      veil.hidden = depth <= 0;
    };
    document.addEventListener("dragenter", (event) => brings(event) && show(depth + 1));
    document.addEventListener("dragleave", (event) => brings(event) && show(depth - 1));
    document.addEventListener("dragover", (event) => {
      if (brings(event)) event.preventDefault();
    });
    document.addEventListener("drop", (event) => {
      if (!brings(event)) return;
      event.preventDefault();
      show(0);
      const entries = [...event.dataTransfer.items].map((each) => each.webkitGetAsEntry?.());
      const folder = entries.find((each) => each?.isDirectory);
      if (folder) this.tell([`“${folder.name}” is a folder. Drop the pictures that are in it.`]);
      else this.take([...event.dataTransfer.files], false);
    });
  }

  /** Send pictures, and search with them: beside those there are, or in their place. */
  async take(files, beside) {
    this.stop?.abort();
    this.stop = new AbortController();
    const { signal } = this.stop;
    const before = this.current();
    const room = MOST_PICTURES - (beside ? before.pictures.length + before.like.length : 0);
    const wrong = files.filter(isOther).map((file) => `${file.name} is no picture.`);
    const pictures = files.filter((file) => !isOther(file));
    const sent = pictures.slice(0, room);
    if (sent.length < pictures.length) {
      wrong.push(`A search takes ${MOST_PICTURES} pictures at most, so the others are left out.`);
    }
    if (!sent.length) {
      this.tell(wrong);
      return;
    }
    const urls = sent.map((file) => URL.createObjectURL(file));
    this.coming = urls;
    this.replacing = !beside;
    this.show(before);
    const tokens = [];
    for (const [at, file] of sent.entries()) {
      try {
        const kept = await api.keepPicture(before.catalog, file, signal);
        tokens.push(kept.token);
        this.previews.set(kept.token, urls[at]);
      } catch (error) {
        if (api.isAbort(error)) return;
        wrong.push(OF_THE_FILE.has(error.status) ? `${file.name}: ${error.message}` : error.message);
      }
    }
    if (signal.aborted) return;
    this.coming = [];
    this.show(this.current());
    if (beside && tokens.length) this.change({ pictures: [...this.current().pictures, ...tokens], crop: null });
    else if (tokens.length) this.change({ pictures: tokens, like: [], unlike: [], crop: null });
    this.tell(wrong); // last, since a change clears what was said before
  }

  show(state) {
    const kept = this.coming.length && this.replacing ? { pictures: [], like: [], unlike: [] } : state;
    const pictures = kept.pictures.map((token) => this.figureOfPicture(state, token));
    const like = kept.like.map((id) => this.figureOfImage(state, id, "like"));
    const unlike = kept.unlike.map((id) => this.figureOfImage(state, id, "unlike"));
    const coming = this.coming.map((url) =>
      el("li.asked-one.coming", {}, el("img", { src: url, alt: "Picture that is being read" })),
    );
    const shown = [...pictures, ...like, ...coming, ...unlike];
    const full = pictures.length + like.length + coming.length >= MOST_PICTURES;
    if (shown.length && !full) {
      const label = "Add a picture to the search";
      const add = el("button.add", { type: "button", "aria-label": label, title: label }, icon(ICONS.plus));
      add.addEventListener("click", () => this.pick(true));
      shown.push(el("li", {}, add));
    }
    refill(this.list, ...shown);
    this.list.hidden = !shown.length;
  }

  figureOfPicture(state, token) {
    const { catalog, crop, pictures } = state;
    const whole = this.previews.get(token);
    const source = whole && !crop ? whole : api.thumbnail(catalog, { token, crop });
    const remove = () => this.change({ pictures: pictures.filter((each) => each !== token), crop: null });
    const cuts = pictures.length === 1; // one crop is for all pictures, which is seldom meant
    return figure(
      el("img", { src: source, alt: crop ? "Part of your picture" : "Your picture" }),
      "Remove your picture",
      remove,
      cuts ? cropButton(crop, () => this.crop(token)) : null,
    );
  }

  figureOfImage(state, id, kind) {
    const remove = () => this.change({ [kind]: state[kind].filter((each) => each !== id) });
    const made = figure(
      el("img", {
        src: api.thumbnail(state.catalog, { id }),
        alt: kind === "like" ? "Picture of the catalogue" : "Not like this picture of the catalogue",
      }),
      "Remove this picture",
      remove,
    );
    if (kind === "unlike") made.classList.add("against");
    return made;
  }
}

function figure(picture, label, remove, more = null) {
  const button = el("button.remove", { type: "button", "aria-label": label, title: label }, icon(ICONS.close));
  button.addEventListener("click", remove);
  picture.addEventListener("error", () => picture.classList.add("lost"), { once: true });
  return el("li.asked-one", {}, picture, button, more);
}

function cropButton(crop, open) {
  const text = crop ? "Change the part" : "Choose a part";
  return el("button.crop-button", { type: "button", onclick: open, "aria-label": text }, icon(ICONS.crop), el("span", {}, text));
}
