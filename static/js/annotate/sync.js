// The badge "saved" / "2 waiting" / "1 problem", and the list behind it.

import { counted, gettext, interpolate, ngettext } from "../lib/i18n.js";
import { byId, make } from "./dom.js";

export const votesKept = (count) =>
  counted(ngettext("%(count)s vote is kept in this browser.", "%(count)s votes are kept in this browser.", count), count);

export class SyncView {
  constructor(outbox) {
    this.outbox = outbox;
    this.badge = byId("sync");
    this.dialog = byId("outbox");
    this.badge.addEventListener("click", () => this.dialog.showModal());
    byId("outbox-retry").addEventListener("click", () => outbox.retry());
  }

  render() {
    const { waiting, problems, needsLogin } = this.outbox.state;
    const several = problems.length;
    let [text, look] = [gettext("saved"), "badge-ok"];
    if (several > 0) [text, look] = [counted(ngettext("%(count)s problem", "%(count)s problems", several), several), "badge-bad"];
    else if (needsLogin) [text, look] = [gettext("log in"), "badge-bad"];
    else if (waiting > 0) [text, look] = [counted(gettext("%(count)s waiting"), waiting), "badge-warn"];
    this.badge.textContent = text;
    this.badge.className = `badge sync ${look}`;
    this.#renderList();
  }

  #sentence({ waiting, needsLogin, retryAt }) {
    if (this.outbox.entries.length === 0) return gettext("Everything you did is on the site.");
    if (needsLogin) return gettext("Your log-in has ended. What you did is kept here until you log in again.");
    const time = new Date(retryAt).toLocaleTimeString(document.documentElement.lang);
    const again = retryAt ? ` ${interpolate(gettext("Next try at %(time)s."), { time })}` : "";
    return `${waiting > 0 ? votesKept(waiting) : ""}${again}`;
  }

  #renderList() {
    const { state, entries } = this.outbox;
    byId("outbox-text").textContent = this.#sentence(state);
    byId("outbox-login").hidden = !state.needsLogin;
    byId("outbox-retry").hidden = entries.length === 0;
    byId("outbox-list").replaceChildren(...entries.map((entry) => this.#item(entry)));
  }

  #item(entry) {
    const problem = entry.problem ? ` — ${entry.problem.message}` : "";
    const item = make("li", {}, make("span", { textContent: `${entry.title}${problem}` }));
    if (entry.problem) item.append(this.#discardButton(entry));
    return item;
  }

  #discardButton(entry) {
    const button = make("button", {
      type: "button", className: "button button-danger", textContent: gettext("Throw away"),
    });
    // Two presses: the only way in which something a person did can vanish.
    button.addEventListener("click", () => {
      if (button.dataset.sure) this.outbox.discard(entry.key);
      button.dataset.sure = "yes";
      button.textContent = gettext("Really throw it away");
    });
    return button;
  }
}
