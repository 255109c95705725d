// What somebody says of the open item until it is submitted: classes, verdict, severity.
class Answers extends DeskAnswers {
  classesOf(item) {
    return [...item.candidates, ...this.drafts.of(item).added];
  }

  labels(item) {
    return this.drafts.of(item).ticks?.map((one) => one.index) ?? null;
  }

  proposed(item) {
    return item.mode === "full" ? proposeVerdict(this.labels(item), item.categories) : null;
  }

  // The verdict that stands at the full desk: the person's own, or the proposed one.
  standing(item) {
    return item.mode === "full" ? (this.drafts.of(item).override ?? this.proposed(item)) : null;
  }

  // Whether a verdict can be sent; if not, say what it lacks.
  isReady(item, verdict) {
    if (!verdict) this.say("Tick what the picture shows first, or that none of these does");
    return Boolean(verdict);
  }

  // What is kept of a verdict here, and what is sent.
  write(item, verdict) {
    const draft = this.drafts.of(item);
    const isQuick = item.mode === "quick";
    const isError = IS_ERROR.has(verdict);
    const chosen = this.classesOf(item).find((one) => one.index === draft.chosen);
    const corrected = (isQuick && isError && chosen) || null;
    const severity = isError ? draft.severity : null;
    return {
      past: { corrected, ticked: isQuick ? null : draft.ticks, severity },
      body: { corrected_label: corrected?.index ?? null, labels: isQuick ? null : this.labels(item), severity },
    };
  }

  allows(item, verdict) {
    return allowsVerdict(verdict, this.labels(item), item.categories);
  }

  // The class of a row, counted from 1; nothing where there is no such row.
  #row(number) {
    const item = this.open();
    return item && this.classesOf(item)[Number(number) - 1];
  }

  toggle(number) {
    const one = this.#row(number);
    if (one) this.mark(this.open(), one);
  }

  mark(item, one) {
    if (item.mode === "quick") {
      this.drafts.change(item, { chosen: one.index });
      this.say(`Right class: ${one.name}`);
    } else {
      const ticks = this.drafts.of(item).ticks ?? [];
      const others = ticks.filter((other) => other.index !== one.index);
      const isOn = others.length < ticks.length;
      this.#tick(item, isOn ? (others.length ? others : null) : [...ticks, one]);
      this.say(`${one.name} ${isOn ? "taken off" : "ticked"}. ${nameVerdict(this.proposed(item))}`);
    }
    this.redraw();
  }

  makeMain(number) {
    const item = this.open();
    const one = this.#row(number);
    if (!one || item.mode === "quick") return;
    const others = (this.drafts.of(item).ticks ?? []).filter((other) => other.index !== one.index);
    this.#tick(item, [one, ...others]);
    this.redraw();
    this.say(`${one.name} is the main class. ${nameVerdict(this.proposed(item))}`);
  }

  chooseNone() {
    const item = this.open();
    if (!item) return;
    if (item.mode === "quick") this.drafts.change(item, { chosen: null });
    else this.#tick(item, this.labels(item)?.length === 0 ? null : []);
    this.redraw();
    this.say("None of these");
  }

  // Other ticks make another proposal, so a verdict of one's own goes.
  #tick(item, ticks) {
    const verdict = proposeVerdict(ticks?.map((one) => one.index) ?? null, item.categories);
    const { severity } = this.drafts.of(item);
    this.drafts.change(item, { ticks, override: null, severity: IS_ERROR.has(verdict) ? severity : null });
  }

  // A class found by search: a row of its own, ticked.
  add(item, one) {
    if (item.mode === "quick" && one.index === item.given.index) return this.say("That is the given label");
    const known = this.classesOf(item).find((other) => other.index === one.index);
    if (!known) this.drafts.change(item, { added: [...this.drafts.of(item).added, one] });
    if (this.open() === item && !this.labels(item)?.includes(one.index)) this.mark(item, known ?? one);
  }

  // In place of what the ticks propose; the same again, and the proposal stands.
  override(item, verdict) {
    if (!this.allows(item, verdict)) return this.say(`${nameVerdict(verdict)} does not fit what is ticked`);
    const { override, severity } = this.drafts.of(item);
    const isOff = verdict === override || verdict === this.proposed(item);
    this.drafts.change(item, { override: isOff ? null : verdict, severity: IS_ERROR.has(verdict) ? severity : null });
    this.redraw();
    this.say(`Verdict: ${nameVerdict(this.standing(item))}`);
  }

  nextSeverity() {
    const item = this.open();
    if (!item || item.mode === "quick" || !IS_ERROR.has(this.standing(item))) return;
    const severity = ((this.drafts.of(item).severity ?? 0) + 1) % 4 || null;
    this.drafts.change(item, { severity });
    this.redraw();
    this.say(`Severity: ${SEVERITIES[severity] ?? "not given"}`);
  }

  // Whether a verdict given before would be replaced by another one.
  differs(item, past) {
    const draft = this.drafts.of(item);
    const before = (past.ticked ?? readTicks(item, past))?.map((one) => one.index) ?? null;
    const same = JSON.stringify(before) === JSON.stringify(this.labels(item));
    return !same || past.verdict !== this.standing(item) || past.severity !== draft.severity || past.note !== draft.note;
  }
}

// A draft: `ticks` (classes that hold, the main one first; empty = none; null = nothing chosen),
// `override` (a verdict in place of the proposed one), `severity`, `note`, and at the quick desk
// `chosen` (the right class or null); `added` are classes found by search.
const SHAPE = {
  empty: (item) => ({ ticks: null, override: null, severity: null, note: "", chosen: item.chosen ?? null, added: [] }),
  resume(item, past) {
    const ticks = past.ticked ?? readTicks(item, past);
    const proposed = item.mode === "full" ? proposeVerdict(ticks?.map((one) => one.index) ?? null, item.categories) : null;
    return {
      ticks,
      override: past.verdict === proposed ? null : past.verdict,
      severity: past.severity,
      note: past.note,
      chosen: IS_ERROR.has(past.verdict) ? (past.corrected?.index ?? null) : (item.chosen ?? null),
      added: [past.corrected, ...(ticks ?? [])].filter((one) => one && isNew(item, one)),
    };
  },
};

function isNew(item, one) {
  return !item.candidates.some((other) => other.index === one.index);
}

// What must have been ticked for a verdict that was given at the quick desk.
function readTicks(item, past) {
  if (item.mode !== "full" || past.verdict === "unsure") return null;
  const given = item.candidates.find((one) => item.categories[one.index] === "label_correct");
  const keepsLabel = ["label_correct", "multi_object"].includes(past.verdict);
  return [keepsLabel && given, past.corrected].filter(Boolean);
}
