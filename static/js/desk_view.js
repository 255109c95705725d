// What the desk looks like for a given state; changes the page and decides nothing.
const VERDICTS = Object.fromEntries(
  KEYMAP.filter((one) => one.action === "verdict").map((one) => [one.value, one.does]),
);
const SHORT = {
  label_correct: "correct", wrong_label: "wrong", multi_object: "multi", similar_class: "similar",
  sub_class: "sub", super_class: "super", unsure: "unsure",
};
const IS_ERROR = new Set(["wrong_label", "multi_object", "similar_class", "sub_class", "super_class"]);

class DeskView {
  #rows = new Map(); // key of a verdict -> its place in the strip, so that no thumbnail flickers

  constructor(root) {
    this.root = root;
    this.part = (name) => document.querySelector(`[data-part="${name}"]`);
    this.part("keys").replaceChildren(...listKeys());
  }

  mode(mode) {
    this.root.dataset.mode = mode;
    for (const section of this.root.querySelectorAll("[data-modes]")) {
      section.hidden = !section.dataset.modes.split(" ").includes(mode);
    }
  }

  item(item, candidates, chosen, past) {
    this.part("given").replaceChildren(...writeClass(item.given));
    this.part("confirming").textContent = describeConfirming(item);
    const rows = candidates.map((one, place) => this.#candidate(one, place + 1, chosen, item.chosen));
    this.part("candidates").replaceChildren(...rows);
    document.getElementById("candidate-none").checked = chosen === null;
    this.part("past").hidden = !past;
    if (past) this.part("past-words").textContent = describe(past);
    this.consequence(candidates.find((one) => one.index === chosen));
    for (const button of this.root.querySelectorAll("[data-verdict]")) {
      if (past) button.setAttribute("aria-pressed", String(button.dataset.verdict === past.verdict));
      else button.removeAttribute("aria-pressed");
    }
  }

  consequence(one) {
    const name = document.createElement("strong");
    name.textContent = one?.name;
    this.part("consequence").replaceChildren(...(one ? ["right class: ", name] : ["right class not given"]));
  }

  #candidate(one, number, chosen, agreed) {
    const row = this.part("candidate-template").content.firstElementChild.cloneNode(true);
    const input = row.querySelector("input");
    input.value = one.index;
    input.checked = one.index === chosen;
    row.querySelector("kbd").textContent = number < 10 ? number : "";
    row.querySelector("[data-class]").append(...writeClass(one));
    row.querySelector("[data-agreed]").hidden = one.index !== agreed;
    return row;
  }

  note(text) {
    this.part("note-mark").hidden = !text;
    this.part("note-mark").textContent = text;
  }

  canJudge(allowed) {
    for (const button of this.root.querySelectorAll("[data-verdict]")) button.disabled = !allowed;
  }

  strip(history, looking) {
    const last = history.slice(-10);
    const first = history.length - last.length;
    const rows = last.map((past, place) => {
      const fresh = () => this.part("past-template").content.firstElementChild.cloneNode(true);
      const row = this.#rows.get(past.key) ?? fresh();
      const button = row.querySelector("button");
      button.dataset.past = first + place;
      button.title = describe(past);
      button.classList.toggle("is-error", IS_ERROR.has(past.verdict));
      button.classList.toggle("is-waiting", past.isWaiting === true);
      if (first + place === looking) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      if (!this.#rows.has(past.key)) row.querySelector("img").src = past.item.thumb;
      row.querySelector("[data-short]").textContent = SHORT[past.verdict];
      row.querySelector("[data-words]").textContent = `Look again: ${describe(past)}`;
      return row;
    });
    this.#rows = new Map(last.map((past, place) => [past.key, rows[place]]));
    this.part("strip").replaceChildren(...rows);
    this.part("strip-empty").hidden = rows.length > 0;
    for (const button of document.querySelectorAll("[data-act=undo], [data-act=back]")) {
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

  // saved, sending, offline, expired, stranger; `n` verdicts wait.
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
    const row = this.part("refusal-template").content.firstElementChild.cloneNode(true);
    row.querySelector("[data-words]").textContent =
      `Not saved: “${describe(past)}” for an item labelled ${past.item.given.name}. The server says: ${reason}.`;
    row.querySelector("button").addEventListener("click", () => row.remove());
    this.part("refusals").append(row);
  }

  say(words) {
    this.part("announce").textContent = words;
  }
}

function describe(past) {
  const corrected = past.corrected ? ` → ${past.corrected.name}` : "";
  const note = past.note ? ` (${past.note})` : "";
  return VERDICTS[past.verdict] + corrected + note;
}

function describeConfirming(item) {
  const experts = { 1: "The expert", 2: "Both experts" }[item.n_experts] ?? `All ${item.n_experts} experts`;
  if (item.n_confirming === item.n_experts) return `${experts} see${item.n_experts > 1 ? "" : "s"} this too.`;
  if (item.n_confirming > 0) return `${item.n_confirming} of ${item.n_experts} experts see this too.`;
  return "";
}

// The keys dialog, from the list that the page acts by.
function listKeys() {
  return [...new Set(KEYMAP.map((one) => one.group))].map((group) => {
    const section = document.createElement("section");
    const head = document.createElement("h3");
    head.textContent = group;
    section.append(head);
    for (const one of KEYMAP.filter((entry) => entry.group === group)) {
      const line = document.createElement("div");
      const key = document.createElement("kbd");
      key.textContent = one.shown ?? one.keys[0].toUpperCase();
      line.append(key, one.does);
      section.append(line);
    }
    return section;
  });
}
