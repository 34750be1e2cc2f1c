// The API below v1/: requests, what went wrong with them, and the addresses of pictures.

/** What the service, or the way to it, said no to; `message` is fit to show. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

let signIn = null;

/** Have this asked for a key when the service wants one; it resolves when there is one. */
export function whenKeyIsNeeded(ask) {
  signIn = ask;
}

/** Answer of GET, or with `json` or `form` of POST; `signal` aborts it. */
export async function call(path, { json, form, signal } = {}) {
  const options = { signal, credentials: "same-origin", headers: { Accept: "application/json" } };
  if (json !== undefined || form) options.method = "POST";
  if (form) options.body = form;
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers["Content-Type"] = "application/json";
  }
  for (;;) {
    const response = await reach(`v1/${path}`, options);
    if (response.ok) return response.status === 204 ? null : await body(response);
    const told = await response.json().catch(() => ({}));
    if (response.status === 401 && signIn && path !== "session") await signIn();
    else throw new Problem(response.status, told.detail || `The service answered ${response.status}.`);
  }
}

async function reach(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The service cannot be reached. Is it running, and are you online?");
  }
}

async function body(response) {
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The answer of the service broke off.");
  }
}

export const isAbort = (error) => error.name === "AbortError";

const of = (catalog) => `catalogs/${encodeURIComponent(catalog)}`;

export const catalogs = () => call("catalogs");
export const attributes = (catalog) => call(`${of(catalog)}/attributes`);
export const image = (catalog, id, signal) => call(`${of(catalog)}/images/${id}`, { signal });
export const search = (catalog, json, signal) => call(`${of(catalog)}/search`, { json, signal });
export const openSession = (key) => call("session", { json: { key } });

export function keepPicture(catalog, file, signal) {
  const form = new FormData();
  form.append("image", file, file.name || "pasted");
  return call(`${of(catalog)}/pictures`, { form, signal });
}

/** Address of a picture: `what` is `{id}` of the catalogue, or `{token, crop}` of one that is kept. */
export function address(catalog, what, kind, query) {
  const place = what.token ? `pictures/${what.token}` : `images/${what.id}`;
  const asked = new URLSearchParams(query);
  if (what.crop) asked.set("crop", what.crop.join(","));
  return `v1/${of(catalog)}/${place}/${kind}?${asked}`;
}

export const thumbnail = (catalog, what, side = 400) => address(catalog, what, "thumbnail", { side });
export const heatmap = (catalog, what, name) =>
  address(catalog, what, "heatmap", { attribute: name, side: 400 });
