// What the desk looks like for a given state; changes the page and decides nothing.
const VERDICTS = {
  label_correct: ["Label correct", "correct"], wrong_label: ["Wrong label", "wrong"],
  multi_object: ["Multi-object", "multi"], similar_class: ["Similar class", "similar"],
  sub_class: ["Sub-class", "sub"], super_class: ["Super-class", "super"], unsure: ["Unsure", "unsure"],
};
const nameVerdict = (verdict) => VERDICTS[verdict]?.[0] ?? "No verdict yet";
const SEVERITIES = { 1: "near miss", 2: "clear", 3: "gross" };

class DeskView {
  #rows = new Map(); // key of a verdict -> its place in the strip, so that no thumbnail flickers
  #exemplars;

  constructor(root, exemplars) {
    this.root = root;
    this.#exemplars = exemplars;
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
    if (item.mode === "quick") this.#quick(item, draft);
    else this.#full(item, draft, shown);
    for (const button of this.root.querySelectorAll("[data-verdict]")) {
      const { verdict } = button.dataset;
      const isPressed = item.mode === "full" ? verdict === shown.verdict : verdict === shown.past?.verdict;
      setState(button, "aria-pressed", item.mode === "full" || shown.past ? isPressed : null);
      setState(button, "aria-disabled", item.mode === "full" ? !shown.can(verdict) : null);
    }
    const flag = document.querySelector(".strip-end [data-act=refer]");
    flag.setAttribute("aria-pressed", String(item.is_referred));
  }

  #quick(item, draft) {
    this.part("given").replaceChildren(...writeClass(item.given));
    this.part("confirming").textContent = describeConfirming(item);
    const candidates = [...item.candidates, ...draft.added];
    const rows = candidates.map((one, place) => this.#candidate(one, place + 1, draft.chosen, item.chosen));
    replaceRows(this.part("candidates"), rows);
    document.getElementById("candidate-none").checked = draft.chosen === null;
    this.#consequence(candidates.find((one) => one.index === draft.chosen));
  }

  #consequence(one) {
    const name = document.createElement("strong");
    name.textContent = one?.name;
    this.part("consequence").replaceChildren(...(one ? ["right class: ", name] : ["right class not given"]));
  }

  #candidate(one, number, chosen, agreed) {
    const row = this.copy("candidate-template");
    const input = row.querySelector("input");
    input.value = one.index;
    input.checked = one.index === chosen;
    row.querySelector("kbd").textContent = number < 10 ? number : "";
    row.querySelector("[data-class]").append(...writeClass(one));
    row.querySelector("[data-agreed]").hidden = one.index !== agreed;
    return row;
  }

  #full(item, draft, shown) {
    const rows = [...item.candidates, ...draft.added].map((one, place) => this.#tick(item, one, place + 1, draft));
    replaceRows(this.part("ticks"), rows);
    document.getElementById("tick-none").checked = draft.ticks?.length === 0;
    this.part("proposal").textContent = draft.override
      ? `yours, not ${shown.proposed ? nameVerdict(shown.proposed).toLowerCase() : "proposed"}`
      : shown.verdict ? "proposed from your ticks" : "tick what the picture shows";
    this.part("severity").textContent = SEVERITIES[draft.severity] ?? "severity";
    this.root.querySelector("[data-act=severity]").setAttribute("aria-disabled", String(!IS_ERROR.has(shown.verdict)));
    this.root.querySelector("[data-act=submit]").setAttribute("aria-disabled", String(!shown.verdict));
  }

  #tick(item, one, number, draft) {
    const row = this.copy("tick-template");
    const input = row.querySelector("input");
    row.dataset.number = number;
    input.value = one.index;
    const place = draft.ticks?.findIndex((other) => other.index === one.index) ?? -1;
    input.checked = place >= 0;
    row.querySelector("kbd").textContent = number < 10 ? number : "";
    row.querySelector("[data-class]").append(...writeClass(one));
    row.querySelector("[data-exemplars]").append(...this.#exemplars.write(one, item, 3));
    const main = row.querySelector("[data-main]");
    main.hidden = !(place >= 0 && draft.ticks.length > 1);
    main.textContent = place === 0 ? "main" : "make main";
    main.classList.toggle("is-main", place === 0);
    main.setAttribute("aria-label", place === 0 ? `${one.name} is the main class` : `Make ${one.name} the main class`);
    return row;
  }

  // Label, experts and flags; `told` is null while they are hidden.
  told(item, { told, past }) {
    this.part("told").hidden = !told;
    if (!told) return;
    this.part("told-first").hidden = Boolean(past);
    this.part("told-stop").hidden = !past;
    this.part("told-given").replaceChildren(...writeClass({ ...told.given, gloss: "" }));
    const rows = told.experts.map((word) => {
      const row = this.copy("told-template");
      row.querySelector("[data-expert]").textContent = word.expert;
      row.querySelector("[data-class]").append(...(word.top1 ? writeClass({ ...word.top1, gloss: "" }) : ["no score"]));
      row.querySelector("[data-confidence]").textContent = writeShare(word.confidence);
      row.querySelector("[data-raw]").textContent = writeShare(word.raw_confidence);
      row.querySelector("[data-on-label]").textContent = writeShare(word.on_label);
      return row;
    });
    this.part("told-experts").replaceChildren(...rows);
    const flags = told.flags.map((flag) => `${flag.method} (${flag.rank})`).join(", ");
    const bin = told.bin ? `Confidence bin ${told.bin} of ${told.n_bins}, 1 being the most confident. ` : "";
    this.part("told-flags").textContent = `${bin}${flags ? `Flagged by ${flags}.` : "No method flags it."}`;
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
      if (!this.#rows.has(past.key)) row.querySelector("img").src = past.item.thumb;
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

function describe(past) {
  const named = past.ticked?.length ? past.ticked.map((one) => one.name).join(" + ") : past.corrected?.name;
  const classes = named && past.verdict !== "label_correct" ? ` → ${named}` : "";
  const note = past.note ? ` (${past.note})` : "";
  return VERDICTS[past.verdict][0] + classes + note;
}

function describeConfirming(item) {
  const experts = { 1: "The expert", 2: "Both experts" }[item.n_experts] ?? `All ${item.n_experts} experts`;
  if (item.n_confirming === item.n_experts) return `${experts} see${item.n_experts > 1 ? "" : "s"} this too.`;
  if (item.n_confirming > 0) return `${item.n_confirming} of ${item.n_experts} experts see this too.`;
  return "";
}

function writeShare(share) {
  return share === null ? "–" : share.toFixed(3).replace(/^0/, "");
}
