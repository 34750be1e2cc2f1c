// The page put together: one state, from which all that is seen is made, and the search it asks for.

import * as api from "./api.js";
import { headline, inWords, outcome, showChips } from "./chips.js";
import { Sliders, Tools } from "./controls.js";
import { Cropper } from "./crop.js";
import { byId, el, images, words } from "./dom.js";
import { Facets } from "./facets.js";
import { keyForm } from "./key.js";
import { clearNotices, notice, plainly, trouble, untroubled } from "./notices.js";
import { Query } from "./query.js";
import { Results } from "./results.js";
import { Sheet } from "./sheet.js";
import { shelves, shelvesToCome } from "./shelves.js";
import {
  EMPTY,
  fromAddress,
  isEmpty,
  MOST_PICTURES,
  toAddress,
  toCounts,
  toRequest,
} from "./state.js";
import { Visits } from "./visits.js";
import { Why } from "./why.js";

const INVITATION =
  "Show a picture and see what resembles it, or say what it should have. Both together work best.";

const GONE = 410; // a cursor, since the index was replaced; or a picture that was kept for a while

const SLIDERS = new Set(["weight", "sure"]);

let state = fromAddress(location.search);
let catalogs = [];
let groups = []; // of attributes, of the catalogue that is open
let opened = null; // its name
let running = new AbortController();
let answer = null; // the last page of the search that is shown
let asked = null; // the request it answers
let moved = null; // what the last change was of

const current = () => state;
const facets = new Facets(change);
const sliders = new Sliders(change);
const tools = new Tools(change);
const cropper = new Cropper(change);
const why = new Why({ current, acts: { like: likeThis, add: addThis, avoid: avoidThis } });
const results = new Results({ more, likeThis, explain: (...tile) => why.watch(...tile) });
const query = new Query({ current, change, tell, crop: (token) => cropper.open(state, token) });
const sheet = new Sheet(el("div.side-content", {}, sliders.element, facets.element), facets.search);
const visits = new Visits();
const catalogChoice = byId("catalog");

/** Change a part of the state, remember it in the address bar, and search. */
function change(part) {
  const then = { ...state, ...part };
  if (toAddress(then) === toAddress(state)) return;
  const kind = Object.keys(part).join();
  if (SLIDERS.has(kind) && kind === moved) {
    visits.move(toAddress(then)); // a slider that goes on is one step back, not one for each notch
  } else {
    visits.leave(results, answer, asked);
    visits.enter(toAddress(then));
  }
  moved = kind;
  state = then;
  clearNotices();
  run();
  scrollUp();
}

function likeThis(id) {
  change({ pictures: [], like: [id], unlike: [], crop: null });
}

function addThis(id) {
  change({ like: [...new Set([...state.like, id])].slice(0, MOST_PICTURES) });
}

function avoidThis(id) {
  change({ unlike: [...new Set([...state.unlike, id])].slice(0, MOST_PICTURES) });
}

function tell(sentences) {
  clearNotices();
  for (const sentence of sentences) notice(sentence, { wrong: true });
}

function scrollUp() {
  if (window.scrollY > byId("main").offsetTop) window.scrollTo({ top: 0, behavior: "instant" });
}

/** Show what is searched for, all but the answer. */
function showAsked() {
  why.close();
  const begins = isEmpty(state);
  byId("main").hidden = false; // from the first, it is as it will be
  document.body.classList.toggle("begins", begins);
  byId("headline").textContent = headline(state);
  document.title = begins ? "FineTag" : `${inWords(state)} · FineTag`;
  byId("invitation").textContent = begins ? INVITATION : "";
  byId("invite").hidden = !begins;
  byId("home").href = toAddress({ ...EMPTY, catalog: catalogs.length > 1 ? state.catalog : null });
  if (begins && !byId("shelves").childElementCount) byId("shelves").replaceChildren(...shelvesToCome());
  byId("shelves").hidden = !begins;
  showChips(state, change);
  if (state.catalog) query.show(state);
  sliders.show(state);
  tools.show(state);
  facets.tick(state);
  sheet.show(state);
}

/** Open the catalogue of the state, if another is open; say whether there is one. */
async function openCatalog() {
  if (!catalogs.length) {
    catalogs = await api.catalogs();
    const options = catalogs.map(({ name }) => el("option", { value: name }, name));
    catalogChoice.replaceChildren(...options);
    byId("catalog-choice").hidden = catalogs.length < 2;
  }
  if (!catalogs.length) throw new api.Problem(503, "There is no catalogue to search yet.");
  state = { ...state, catalog: state.catalog || catalogs[0].name };
  const info = catalogs.find(({ name }) => name === state.catalog);
  if (!info) throw new api.Problem(404, `There is no catalogue “${state.catalog}”.`);
  catalogChoice.value = info.name;
  if (opened === info.name) return;
  groups = await api.attributes(info.name);
  opened = info.name;
  facets.open(groups);
  byId("shelves").replaceChildren(...shelvesToCome());
  tools.offer(info.fields);
}

/** Search for the state; what was searched for before is forgotten. */
async function run() {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  answer = null;
  untroubled();
  results.wait();
  byId("status").classList.add("waiting");
  try {
    showAsked();
    await openCatalog();
    if (signal.aborted) return;
    showAsked();
    const first = toRequest(state, ordering());
    const others = toCounts(state, ordering());
    const [found, ...counted] = await Promise.all([
      api.search(state.catalog, first, signal),
      ...others.map(({ request }) => api.search(state.catalog, request, signal)),
    ]);
    found.facets = found.facets.map((facet) => {
      const at = others.findIndex(({ name, facetKind }) => name === facet.name && facetKind === facet.kind);
      return at < 0 ? facet : counted[at].facets.find(({ kind }) => kind === facet.kind) || facet;
    });
    show(found, first, (appear) => results.show(state, appear));
    if (!found.hits.length) nothing(found, others.map((each, at) => ({ ...each, total: counted[at].total })));
    await showShelves(signal);
  } catch (error) {
    if (!api.isAbort(error)) fail(error);
  }
}

/** The group by which the catalogue is ordered if nothing is searched for. */
const ordering = () => groups.find(({ group }) => group.includes("primary")) || groups[0];

function show(found, request, fill) {
  answer = found;
  asked = request;
  const info = catalogs.find(({ name }) => name === state.catalog);
  byId("status").replaceChildren(...outcome(state, found, info.images));
  byId("status").classList.remove("waiting");
  facets.show(state, found.facets);
  sheet.count(found.total);
  fill(found);
}

/** Say why nothing was found, and what would let more through; `others` say how much more. */
function nothing(found, others) {
  const acts = others
    .filter(({ total }) => total)
    .toSorted((one, other) => other.total - one.total)
    .map(({ name, kind, total }) => {
      const { [name]: _, ...rest } = state[kind];
      return [`Without ${words(name)}: ${images(total)}`, () => change({ [kind]: rest })];
    });
  if (state.sure !== null) acts.push(["As the model judges", () => change({ sure: null })]);
  acts.push(["Clear all filters", () => change({ has: {}, is: {}, range: {}, sure: null })]);
  trouble({ heading: "Nothing found", detail: plainly(found.reason), acts });
}

async function showShelves(signal) {
  const place = byId("shelves");
  if (place.hidden || place.querySelector(".card")) return;
  place.replaceChildren(...(await shelves(state.catalog, groups, signal)));
}

/** Show the next page, once. */
async function more() {
  if (!answer?.next || running.paging) return;
  const { signal } = running;
  const page = running;
  page.paging = true;
  try {
    const { facets: _, ...rest } = asked;
    const found = await api.search(state.catalog, { ...rest, cursor: answer.next }, signal);
    answer = { ...answer, next: found.next };
    results.append(state, found);
  } catch (error) {
    if (api.isAbort(error)) return;
    if (error.status === GONE) {
      await run(); // says itself if it is a picture that is gone
      if (answer) notice("The catalogue has just been renewed, so these are its pictures from the first again.");
    } else {
      results.goesOn(false);
      notice(error.message, { wrong: true, act: ["Go on", () => results.goesOn(true)] });
    }
  } finally {
    page.paging = false;
  }
}

function fail(error) {
  byId("status").classList.remove("waiting");
  byId("status").textContent = "";
  byId("shelves").hidden = true;
  results.clear();
  facets.rest();
  answer = null;
  showAsked();
  if (error.status === GONE && state.pictures.length) {
    trouble({
      heading: "This picture is no longer kept",
      detail: "Pictures are kept for a while only. Drop it here again to go on with the same filters.",
      acts: [
        ["Choose the picture again", () => query.pick(false)],
        ["Go on without it", () => change({ pictures: [], crop: null })],
      ],
    });
    return;
  }
  const acts = [["Try again", run]];
  if (!isEmpty(state)) acts.push(["Begin anew", () => change({ ...EMPTY })]);
  trouble({ heading: "That did not work", detail: error.message, acts, wrong: true });
}

byId("home").addEventListener("click", (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  change({ ...EMPTY, catalog: state.catalog });
});

byId("shelves").addEventListener("click", (event) => {
  const card = event.target.closest(".card");
  if (!card || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  change({ has: { [card.dataset.group]: [card.dataset.value] }, sure: null });
});

new IntersectionObserver(([{ isIntersecting }]) => {
  byId("to-top").hidden = isIntersecting;
}).observe(byId("top"));

byId("to-top").addEventListener("click", () => {
  window.scrollTo({ top: 0, behavior: "instant" });
  byId("home").focus({ preventScroll: true });
});

catalogChoice.addEventListener("change", () => change({ ...EMPTY, catalog: catalogChoice.value }));

window.addEventListener("popstate", (event) => {
  visits.leave(results, answer, asked);
  state = { ...fromAddress(location.search) };
  state.catalog ||= catalogs[0]?.name ?? null;
  moved = null;
  clearNotices();
  const visit = visits.back(event.state);
  if (!visit?.answer.hits.length || state.catalog !== opened) {
    run();
    return;
  }
  running.abort();
  running = new AbortController();
  untroubled();
  showAsked();
  show(visit.answer, visit.asked, () => visit.restore(results));
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input:not([type=checkbox], [type=range]), select, textarea, dialog[open]");
  if (event.key !== "/" || typing || event.metaKey || event.ctrlKey || event.altKey) return;
  event.preventDefault();
  sheet.find();
});

api.whenKeyIsNeeded(keyForm());
run();
