// Going back: the pictures that were there are shown again at once, and where one had scrolled to.

const MOST = 20; // searches remembered

/** The searches of this visit, by a number that the history of the browser keeps. */
export class Visits {
  constructor() {
    history.scrollRestoration = "manual";
    this.kept = new Map();
    this.last = Math.max(history.state?.visit ?? 0, 0);
    this.now = this.last;
    history.replaceState({ visit: this.now }, "");
  }

  /** Remember what is shown, before something else is. */
  leave(results, answer, asked) {
    if (!answer) return;
    const hits = new Map(results.hits);
    const { scrollY } = window;
    const restore = (wall) => {
      wall.hits = hits;
      wall.list.replaceChildren(...hits.keys());
      wall.list.removeAttribute("aria-busy");
      wall.goesOn(answer.next !== null);
      window.scrollTo({ top: scrollY, behavior: "instant" });
    };
    this.kept.set(this.now, { answer, asked, restore });
    if (this.kept.size > MOST) this.kept.delete(this.kept.keys().next().value);
  }

  /** Begin a search at an address of its own. */
  enter(address) {
    this.last += 1;
    this.now = this.last;
    history.pushState({ visit: this.now }, "", address);
  }

  /** Go on at another address, in the same place of the history. */
  move(address) {
    history.replaceState({ visit: this.now }, "", address);
  }

  /** What was shown at a place of the history; undefined if it is not remembered. */
  back(state) {
    this.now = state?.visit ?? 0;
    return this.kept.get(this.now);
  }
}
