// What the desk looks like for a picture: classes to tick or to choose, and what is told of it.
class PictureView extends DeskView {
  #exemplars;

  constructor(root, exemplars) {
    super(root);
    this.#exemplars = exemplars;
  }

  said(item, draft, shown) {
    if (item.mode === "quick") this.#quick(item, draft);
    else this.#full(item, draft, shown);
  }

  thumb(row, past) {
    row.querySelector("img").src = past.item.thumb;
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
    name.textContent = one?.shares_name ? `${one.name} ${one.wordnet_id || `#${one.index}`}` : one?.name;
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
    this.part("told-flags").textContent = writeFlags(told);
  }
}

function describeConfirming(item) {
  const experts = { 1: "The expert", 2: "Both experts" }[item.n_experts] ?? `All ${item.n_experts} experts`;
  if (item.n_confirming === item.n_experts) return `${experts} see${item.n_experts > 1 ? "" : "s"} this too.`;
  if (item.n_confirming > 0) return `${item.n_confirming} of ${item.n_experts} experts see this too.`;
  return "";
}
