// What is searched for, as plain data: to and from the address bar, and into requests.
//
//   ?catalog=birds&picture=TOKEN&like=17&unlike=23&has=wing_color:grey&is=brand:Lynx&from=price:10
//   &to=price:50&sure=0.8&looks=0.7&crop=0.1,0.1,0.8,0.8&sort=-price&dedup=1
//
// Values of one group are alternatives, groups must all hold. Chosen values are kept as
// `{group: [value, …]}` in `has` (attributes) and `is` (texts), and `{field: [from, to]}` in `range`.

export const PAGE = 40;
const ORDERED_AT_ONCE = 200; // a field orders the best hits of a picture in one page
export const MOST_PICTURES = 8; // of one search, as the API takes them

export const EMPTY = Object.freeze({
  catalog: null,
  pictures: [],
  like: [],
  unlike: [],
  has: {},
  is: {},
  range: {},
  sure: null,
  weight: 1,
  crop: null,
  sort: null,
  dedup: false,
});

export const hasPicture = (state) => state.pictures.length + state.like.length > 0;
export const hasFilter = (state) =>
  [state.has, state.is, state.range].some((each) => Object.keys(each).length > 0);
export const isEmpty = (state) => !hasPicture(state) && !hasFilter(state);

/** Choose a value of `has` or `is`, or no longer. */
export function toggled(state, kind, name, value) {
  const now = state[kind][name] || [];
  const then = now.includes(value) ? now.filter((each) => each !== value) : [...now, value];
  const { [name]: _, ...others } = state[kind];
  return { [kind]: then.length ? { ...others, [name]: then } : others };
}

/** Set the ends of a field of numbers; null is none. */
export function ranged(state, name, from, to) {
  const { [name]: _, ...others } = state.range;
  return { range: from === null && to === null ? others : { ...others, [name]: [from, to] } };
}

const coded = (text) => text.replace(/[%:]/g, encodeURIComponent);

/** The part of the address after the path. */
export function toAddress(state) {
  const query = new URLSearchParams();
  if (state.catalog) query.set("catalog", state.catalog);
  for (const token of state.pictures) query.append("picture", token);
  for (const id of state.like) query.append("like", id);
  for (const id of state.unlike) query.append("unlike", id);
  for (const kind of ["has", "is"]) {
    for (const [name, values] of Object.entries(state[kind])) {
      for (const value of values) query.append(kind, `${coded(name)}:${coded(value)}`);
    }
  }
  for (const [name, [from, to]] of Object.entries(state.range)) {
    if (from !== null) query.append("from", `${coded(name)}:${from}`);
    if (to !== null) query.append("to", `${coded(name)}:${to}`);
  }
  if (state.sure !== null) query.set("sure", state.sure);
  if (state.weight !== 1) query.set("looks", state.weight);
  if (state.crop) query.set("crop", state.crop.join(","));
  if (state.sort) query.set("sort", state.sort);
  if (state.dedup) query.set("dedup", "1");
  return `?${query.toString().replaceAll("%3A", ":").replaceAll("%2C", ",")}`;
}

/** Undo `toAddress`; what cannot be meant is left out. */
export function fromAddress(text) {
  const query = new URLSearchParams(text);
  const state = { ...EMPTY, has: {}, is: {}, range: {} };
  state.catalog = query.get("catalog");
  state.pictures = query.getAll("picture").filter((each) => /^[\w-]{22}$/.test(each));
  state.like = ids(query.getAll("like"));
  state.unlike = ids(query.getAll("unlike"));
  for (const kind of ["has", "is"]) {
    for (const [name, value] of pairs(query.getAll(kind))) {
      const values = (state[kind][name] ||= []);
      if (!values.includes(value)) values.push(value);
    }
  }
  for (const [at, key] of ["from", "to"].entries()) {
    for (const [name, value] of pairs(query.getAll(key))) {
      const end = finite(value);
      if (end !== null) (state.range[name] ||= [null, null])[at] = end;
    }
  }
  state.sure = share(query.get("sure"));
  state.weight = share(query.get("looks")) ?? 1;
  const crop = (query.get("crop") || "").split(",").map(share);
  if (crop.length === 4 && !crop.includes(null)) state.crop = crop;
  state.sort = query.get("sort");
  state.dedup = query.has("dedup");
  return state;
}

const ids = (texts) => texts.filter((each) => /^\d{1,15}$/.test(each)).map(Number).slice(0, MOST_PICTURES);

function finite(text) {
  const value = text === null || text === "" ? NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}

function share(text) {
  const value = finite(text);
  return value !== null && value >= 0 && value <= 1 ? value : null;
}

function* pairs(texts) {
  for (const text of texts) {
    const at = text.indexOf(":");
    try {
      if (at > 0) yield [decodeURIComponent(text.slice(0, at)), decodeURIComponent(text.slice(at + 1))];
    } catch {
      // a lone % is no value of ours
    }
  }
}

/** The conditions of a state, in the JSON form of filters; `without` leaves one name's out. */
function conditions(state, without = {}) {
  const kept = (kind) =>
    Object.entries(state[kind]).filter(([name]) => without.kind !== kind || without.name !== name);
  const sure = state.sure === null ? {} : { at_least: state.sure };
  return [
    ...kept("has").map(([attr, values]) => ({ attr, in: values, ...sure })),
    ...kept("is").map(([field, values]) => ({ field, in: values })),
    ...kept("range").flatMap(([field, [from, to]]) => [
      ...(from === null ? [] : [{ field, ">=": from }]),
      ...(to === null ? [] : [{ field, "<=": to }]),
    ]),
  ];
}

/** A condition that every image meets, by which the clearest of the group come first. */
const anything = (group) => ({ attr: group.group, in: group.values.map((each) => each.value), at_least: 0 });

/** Facets count what choosing a value would bring, so at the confidence that is asked for. */
const counted = ({ sure }, facets) => ({ facets, ...(sure === null ? {} : { facets_at_least: sure }) });

/** The search of a state. `group` is the one that orders the catalogue if nothing else does. */
export function toRequest(state, group) {
  const where = conditions(state);
  const request = { where, limit: PAGE, sort: state.sort, dedup: state.dedup, ...counted(state, []) };
  if (hasPicture(state)) {
    const { pictures, like, unlike, weight } = state;
    Object.assign(request, { pictures, like, unlike, weight, explain: true });
    if (state.crop && pictures.length) request.crop = state.crop;
    if (state.sort) request.limit = ORDERED_AT_ONCE;
  } else if (!where.length) request.where = [anything(group)];
  return request;
}

/**
 * Searches that count what each chosen group has if its own values were not chosen: that is what
 * choosing another of them would bring.
 */
export function toCounts(state, group) {
  const kinds = { has: "attribute", is: "text", range: "number" };
  return Object.entries(kinds).flatMap(([kind, facetKind]) =>
    Object.keys(state[kind]).map((name) => {
      const where = conditions(state, { kind, name });
      const request = { where: where.length ? where : [anything(group)], limit: 1, ...counted(state, [name]) };
      return { name, kind, facetKind, request };
    }),
  );
}
