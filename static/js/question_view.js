// What the desk looks like for a question: options to tick, the key, and what it rests on.
class QuestionView extends DeskView {
  #pane;

  constructor(root, pane) {
    super(root);
    this.#pane = pane;
  }

  said(item, draft, shown) {
    const isKeyShown = item.mode === "quick" || item.told !== null || draft.isKeyShown;
    this.root.dataset.step = isKeyShown ? "class" : "answer";
    const rows = item.choices.map((_, index) => this.#option(item, draft, index, isKeyShown));
    replaceRows(this.part("options"), rows);
    document.getElementById("option-none").checked = draft.ticks?.length === 0;
    this.part("options-head").textContent = item.mode === "quick"
      ? "Tick what is right, where the key is not"
      : isKeyShown ? "What holds" : "Which of these holds? Tick every one";
    this.part("proposal").textContent = this.#explain(item, draft, shown, isKeyShown);
    this.part("next-words").textContent = isKeyShown || shown.verdict ? "Next" : "Answer";
    const cantGo = !shown.verdict && (isKeyShown || draft.ticks === null);
    this.root.querySelector("[data-act=submit]").setAttribute("aria-disabled", String(cantGo));
    this.#basis(item, draft, shown.verdict);
  }

  #explain(item, draft, shown, isKeyShown) {
    if (item.mode === "quick") return `The key is ${nameLabel(item)}`;
    if (!isKeyShown) return "the key is shown after your answer";
    if (draft.override) return `yours; the key is ${nameLabel(item)}`;
    return shown.verdict ? `you say ${nameOptions(draft.ticks)}, the key says ${nameLabel(item)}` : `the key is ${nameLabel(item)}`;
  }

  // What a changed key rests on; asked for where the verdict changes it.
  #basis(item, draft, verdict) {
    const isChange = KEY_CHANGES.has(verdict);
    const isMissing = isChange && !draft.isDerived && !draft.source;
    this.part("basis").hidden = !isChange;
    this.part("basis").classList.toggle("is-missing", isMissing);
    this.part("basis-words").textContent = isMissing ? "What shows it?" : "Shown by";
    this.part("derivation").setAttribute("aria-pressed", String(draft.isDerived));
    this.part("source-words").textContent = draft.source || "a source …";
    this.part("source").setAttribute("aria-pressed", String(Boolean(draft.source)));
  }

  #option(item, draft, index, isKeyShown) {
    const row = this.copy("option-template");
    const input = row.querySelector("input");
    input.value = index;
    input.checked = draft.ticks?.includes(index) ?? false;
    row.querySelector("kbd").textContent = index < 9 ? index + 1 : `⇧${nameOption(index)}`;
    row.querySelector("[data-letter]").textContent = nameOption(index);
    row.querySelector("[data-text]").append(this.#pane.option(item, index));
    const isKey = isKeyShown && index === item.key_label;
    row.classList.toggle("is-key", isKey);
    row.querySelector("[data-key-mark]").hidden = !isKey;
    const said = item.mode === "quick" ? item.experts[index] : 0;
    const mark = row.querySelector("[data-experts-mark]");
    mark.hidden = !said;
    mark.textContent = said === item.n_experts ? (said > 1 ? "all experts" : "the expert") : `${said} of ${item.n_experts} experts`;
    return row;
  }

  // Key, experts and flags; `told` is null while they are hidden.
  told(item, { told, past }) {
    this.part("told").hidden = !told;
    if (!told) return;
    this.part("told-first").hidden = Boolean(past);
    this.part("told-stop").hidden = !past;
    const heads = told.experts.map((word) => {
      const head = this.copy("told-head-template");
      head.querySelector("[data-expert]").textContent = word.expert;
      return head;
    });
    this.part("told-experts").replaceChildren(this.part("told-corner"), ...heads);
    this.part("told-options").replaceChildren(...item.choices.map((_, index) => this.#toldOption(item, told, index)));
    this.part("told-flags").textContent = writeFlags(told);
    this.part("told-judges").replaceChildren(...told.judges.map((judge) => this.#toldJudge(judge)));
  }

  // One option's row: what each expert gives it, calibrated, and before that.
  #toldOption(item, told, index) {
    const row = this.copy("told-template");
    row.classList.toggle("is-key", index === item.key_label);
    row.querySelector("[data-letter]").textContent = nameOption(index);
    row.querySelector("[data-key-mark]").hidden = index !== item.key_label;
    const cells = told.experts.map((word, place) => {
      const { raw, calibrated } = told.options[place];
      const cell = this.copy("told-cell-template");
      const isTop = word.top1?.index === index;
      cell.classList.toggle("is-top", isTop);
      const [first, before] = calibrated.length ? [calibrated[index], raw[index]] : isTop ? [word.confidence, word.raw_confidence] : [null, null];
      cell.querySelector("[data-calibrated]").textContent = writeShare(first);
      cell.querySelector("[data-raw]").textContent = before === null ? "" : `raw ${writeShare(before)}`;
      return cell;
    });
    row.append(...cells);
    return row;
  }

  #toldJudge(judge) {
    const line = this.copy("told-judge-template");
    line.querySelector("[data-judge]").textContent = `${judge.judge} (${judge.model})`;
    line.querySelector("[data-answer]").textContent = judge.labels ? `answers ${nameOptions(judge.labels)}` : `says: ${judge.verdict}`;
    line.querySelector("[data-reply]").textContent = judge.reply;
    return line;
  }

  thumb(row, past) {
    const said = past.labels === null ? "?" : past.labels.length ? past.labels.map(nameOption).join("") : "0";
    row.querySelector("[data-letters]").textContent = past.verdict === "label_correct" ? nameLabel(past.item) : said;
  }
}
