// What every desk looks like for a given state; changes the page and decides nothing. How an
// item's answers look (`said`, `told`, `thumb`) is up to the view of its kind.
class DeskView {
  #rows = new Map(); // key of a verdict -> its place in the strip, so that no thumbnail flickers

  constructor(root) {
    this.root = root;
    this.part = (name) => document.querySelector(`[data-part="${name}"]`);
    this.copy = (name) => this.part(name).content.firstElementChild.cloneNode(true);
  }

  mode(mode) {
    this.root.dataset.mode = mode;
    for (const section of this.root.querySelectorAll("[data-modes]")) {
      section.hidden = !section.dataset.modes.split(" ").includes(mode);
    }
    this.part("forward-words").textContent = mode === "look" ? "next" : "later";
  }

  // Which desk: classes to tick, or label and proposals.
  desk(desk) {
    this.root.dataset.kind = desk;
    for (const part of document.querySelectorAll("[data-desk]")) part.hidden = part.dataset.desk !== desk;
    for (const button of document.querySelectorAll("[data-act=switch]")) {
      button.setAttribute("aria-pressed", String(button.dataset.value === desk));
    }
  }

  // `shown`: { past, verdict, proposed, can(verdict), told }
  answer(item, draft, shown) {
    this.desk(item.mode);
    this.part("past").hidden = !shown.past;
    if (shown.past) this.part("past-words").textContent = describe(shown.past);
    this.part("past-note").textContent = shown.past?.told
      ? "A change of mind is kept beside it; the curves count what you said before."
      : "A new verdict replaces it.";
    this.note(draft.note);
    this.told(item, shown);
    this.said(item, draft, shown);
    for (const button of this.root.querySelectorAll("[data-verdict]")) {
      const { verdict } = button.dataset;
      const standing = shown.verdict ?? (item.mode === "quick" ? shown.past?.verdict : null);
      setState(button, "aria-pressed", item.mode === "full" || standing ? verdict === standing : null);
      setState(button, "aria-disabled", item.mode === "full" ? !shown.can(verdict) : null);
    }
    const flag = document.querySelector(".strip-end [data-act=refer]");
    flag.setAttribute("aria-pressed", String(item.is_referred));
  }

  note(text) {
    this.part("note-mark").hidden = !text;
    this.part("note-mark").textContent = text;
  }

  canJudge(allowed) {
    for (const button of this.root.querySelectorAll("[data-verdict], [data-act=submit], [data-act=severity]")) {
      button.disabled = !allowed;
    }
  }

  keys(keymap) {
    for (const key of document.querySelectorAll("kbd[data-key]")) key.textContent = keymap.shown(key.dataset.key);
  }

  strip(history, looking) {
    const last = history.slice(-10);
    const first = history.length - last.length;
    const rows = last.map((past, place) => {
      const row = this.#rows.get(past.key) ?? this.copy("past-template");
      const button = row.querySelector("button");
      button.dataset.past = first + place;
      button.title = describe(past);
      button.classList.toggle("is-error", IS_ERROR.has(past.verdict));
      button.classList.toggle("is-waiting", past.isWaiting === true);
      if (first + place === looking) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      if (!this.#rows.has(past.key)) this.thumb(row, past);
      row.querySelector("[data-short]").textContent = VERDICTS[past.verdict][1];
      row.querySelector("[data-words]").textContent = `Look again: ${describe(past)}`;
      return row;
    });
    this.#rows = new Map(last.map((past, place) => [past.key, rows[place]]));
    this.part("strip").replaceChildren(...rows);
    this.part("strip-empty").hidden = rows.length > 0;
    for (const button of document.querySelectorAll("[data-act=undo], [data-act=back], [data-act=reveal]")) {
      button.disabled = history.length === 0;
    }
  }

  progress(judged, total) {
    if (judged === null) return;
    const shown = Math.max(0, Math.min(judged, total));
    this.part("progress").max = total;
    this.part("progress").value = shown;
    this.part("progress-words").textContent = `${shown.toLocaleString("en")} of ${total.toLocaleString("en")}`;
  }

  // saved, sending, offline, expired, stranger; `n` acts wait.
  status(state, n, isStored) {
    const why = { offline: "offline", expired: "logged out", stranger: "other log-in" }[state];
    const waiting = why ? n > 0 : n > 1; // a single one is gone before it can be read
    const words = [why, waiting && `${n} waiting`].filter(Boolean).join(", ") || "saved";
    this.part("status").dataset.state = state === "sending" && n <= 1 ? "idle" : state;
    this.part("status-words").textContent = words;
    this.part("expired").hidden = !["expired", "stranger"].includes(state);
    this.part("expired-words").textContent =
      state === "stranger"
        ? "You are logged in as somebody else in this browser. Log in as yourself to send what waits here."
        : "Your log-in has ended. Nothing is lost: what waits here is sent after you log in again.";
    this.part("not-stored").hidden = isStored;
  }

  elsewhere(n) {
    this.part("done-words").textContent = n
      ? `Others are looking at the last ${n} now. What they leave comes back to this page.`
      : "Every item of this sample that was yours to judge has its verdict. You can look again at the last ones below.";
  }

  refusal(past, reason) {
    const row = this.copy("refusal-template");
    row.querySelector("[data-words]").textContent = `Not saved: “${describe(past)}”. The server says: ${reason}.`;
    row.querySelector("button").addEventListener("click", () => row.remove());
    this.part("refusals").append(row);
  }

  say(words) {
    this.part("announce").textContent = words;
  }
}

// New rows in place of the old ones; who has tabbed to a class stays on it.
function replaceRows(list, rows) {
  const focused = list.contains(document.activeElement) ? document.activeElement.value : null;
  list.replaceChildren(...rows);
  if (focused !== null) list.querySelector(`input[value="${focused}"]`)?.focus();
}

// An ARIA state, or none at all.
function setState(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, String(value));
}

function writeShare(share) {
  return share === null ? "–" : share.toFixed(3).replace(/^0/, "");
}

function writeFlags(told) {
  const flags = told.flags.map((flag) => `${flag.method} (${flag.rank})`).join(", ");
  const bin = told.bin ? `Confidence bin ${told.bin} of ${told.n_bins}, 1 being the most confident. ` : "";
  return `${bin}${flags ? `Flagged by ${flags}.` : "No method flags it."}`;
}
