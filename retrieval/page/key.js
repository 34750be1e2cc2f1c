// Asks for an API key when the service wants one; the service keeps it in a cookie of its own.

import { openSession } from "./api.js";
import { byId, el } from "./dom.js";

/** Return a function that shows the form and resolves once the service has taken a key. */
export function keyForm() {
  const dialog = byId("key");
  const wrong = el("p.wrong", { role: "alert" });
  const input = el("input", {
    id: "key-input",
    type: "password",
    autocomplete: "current-password",
    required: true,
    spellcheck: "false",
  });
  const send = el("button.main-button", { type: "submit" }, "Open");
  const form = el(
    "form",
    {},
    el("h2", { id: "key-title" }, "A key, please"),
    el("p.help", {}, "This service shows its catalogues to those who have an API key."),
    el("label", { for: "key-input" }, "API key"),
    el("div.key-row", {}, input, send),
    wrong,
  );
  dialog.append(form);
  dialog.addEventListener("cancel", (event) => event.preventDefault()); // there is nothing behind it
  let waiting = null;

  async function submit(event, resolve) {
    event.preventDefault();
    wrong.textContent = "";
    send.disabled = true;
    try {
      await openSession(input.value);
      input.value = "";
      waiting = null;
      dialog.close();
      resolve();
    } catch (error) {
      wrong.textContent = error.status === 401 ? "The service does not know this key." : error.message;
      input.focus();
    } finally {
      send.disabled = false;
    }
  }

  return () => {
    waiting ||= new Promise((resolve) => {
      form.onsubmit = (event) => submit(event, resolve);
      dialog.showModal();
      input.focus();
    });
    return waiting;
  };
}
