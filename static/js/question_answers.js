// What somebody says of the open question until it is submitted. At the full desk there are two
// steps: one's own answer while the key is hidden, then the class that follows once it is shown.
class Answers extends DeskAnswers {
  // Whether the key is in sight.
  isKeyShown(item) {
    return item.mode === "quick" || item.told !== null || this.drafts.of(item).isKeyShown;
  }

  proposed(item) {
    const isDerived = item.mode === "full" && this.isKeyShown(item);
    return isDerived ? proposeVerdict(this.drafts.of(item).ticks, item.key_label) : null;
  }

  // The verdict that stands: the person's own, or the derived one.
  standing(item) {
    return this.drafts.of(item).override ?? this.proposed(item);
  }

  // "Key correct" takes one's own answer back, in favour of the key.
  allows(item, verdict) {
    if (item.mode === "quick" || verdict === "unsure" || UNCLEAR.has(verdict)) return true;
    if (!this.isKeyShown(item)) return false;
    return verdict === "label_correct" || allowsVerdict(verdict, this.drafts.of(item).ticks, item.key_label);
  }

  toggle(number) {
    const item = this.open();
    const index = Number(number) - 1;
    if (item && index < item.choices.length) this.mark(item, index);
  }

  mark(item, index) {
    const ticks = this.drafts.of(item).ticks ?? [];
    const isOn = ticks.includes(index);
    const others = ticks.filter((other) => other !== index);
    const chosen = isOn ? others : [...ticks, index].sort((one, other) => one - other);
    this.#tick(item, chosen.length ? chosen : null);
    this.say(`${nameOption(index)} ${isOn ? "taken off" : "ticked"}. ${this.#derived(item)}`);
  }

  chooseNone() {
    const item = this.open();
    if (!item) return;
    this.#tick(item, this.drafts.of(item).ticks?.length === 0 ? null : []);
    this.say(`None of the options. ${this.#derived(item)}`);
  }

  // Other answers derive another class; what can't be understood stays so.
  #tick(item, ticks) {
    const { override } = this.drafts.of(item);
    this.drafts.change(item, { ticks, override: item.mode === "quick" || UNCLEAR.has(override) ? override : null });
    this.redraw();
  }

  #derived(item) {
    const verdict = this.standing(item);
    return verdict ? nameVerdict(verdict) : "";
  }

  // In place of what the answers derive; the same again, and the derived class stands.
  override(item, verdict) {
    if (!this.isKeyShown(item) && !this.allows(item, verdict)) {
      return this.say("Answer first: the key is shown then, and the class follows");
    }
    if (!this.allows(item, verdict)) return this.say(`${nameVerdict(verdict)} does not fit the answers`);
    const { override } = this.drafts.of(item);
    if (verdict === "label_correct") this.drafts.change(item, { ticks: [item.key_label], override: null });
    else {
      const isOff = verdict === override || verdict === this.proposed(item);
      this.drafts.change(item, { override: isOff ? null : verdict });
    }
    this.redraw();
    this.say(`Verdict: ${nameVerdict(this.standing(item))}`);
  }

  // Whether a verdict can be sent; if not, take the step before: show the key, or ask for a source.
  isReady(item, verdict) {
    const draft = this.drafts.of(item);
    if (!this.isKeyShown(item) && !verdict) return this.#showKey(item, draft);
    if (!verdict) {
      this.say("Answer first, or say that none of the options holds");
      return false;
    }
    if (!this.needsSource(item, verdict)) return true;
    if (item.mode === "quick") this.drafts.change(item, { override: verdict });
    this.drafts.change(item, { isAsked: true });
    this.redraw();
    this.say(`${nameVerdict(verdict)}: name a source, or say that you have derived it`);
    return false;
  }

  // One's own answer stands from here on; where it is the key there is nothing more to say.
  #showKey(item, draft) {
    if (draft.ticks === null) {
      this.say("Answer first, or say that none of the options holds");
      return false;
    }
    this.drafts.change(item, { isKeyShown: true, blind: draft.ticks });
    if (this.proposed(item) === "label_correct") return true;
    this.redraw();
    this.say(`The key is ${nameLabel(item)}. ${nameVerdict(this.proposed(item))}: name a source, or say that you have derived it`);
    return false;
  }

  needsSource(item, verdict) {
    const draft = this.drafts.of(item);
    return KEY_CHANGES.has(verdict) && !draft.isDerived && !draft.source;
  }

  toggleDerivation() {
    const item = this.open();
    if (!item) return;
    const { isDerived } = this.drafts.change(item, { isDerived: !this.drafts.of(item).isDerived });
    this.redraw();
    this.say(isDerived ? "Derivation given" : "No derivation");
  }

  // What is kept of a verdict here, and what is sent.
  write(item, verdict) {
    const draft = this.drafts.of(item);
    const isChange = KEY_CHANGES.has(verdict);
    const said = {
      labels: item.mode === "quick" ? this.#quickLabels(item, verdict) : draft.ticks,
      blind_labels: item.mode === "quick" || item.told ? null : draft.isKeyShown ? draft.blind : draft.ticks,
      source: isChange ? draft.source : "",
      has_derivation: isChange && draft.isDerived,
    };
    return { past: said, body: said };
  }

  // Ticks at the quick desk say which answers are right, where they fit the verdict.
  #quickLabels(item, verdict) {
    const { ticks } = this.drafts.of(item);
    if (verdict === "no_correct") return [];
    if (!ticks?.length || !KEY_CHANGES.has(verdict)) return null;
    const others = ticks.filter((index) => index !== item.key_label);
    if (verdict === "wrong_ground_truth") return others.length === 1 ? others : null;
    const several = ticks.length > 1 ? ticks : [...ticks, item.key_label].sort((one, other) => one - other);
    return new Set(several).size > 1 ? several : null;
  }

  // Whether a verdict given before would be replaced by another one.
  differs(item, past) {
    const draft = this.drafts.of(item);
    const verdict = this.standing(item);
    const { labels, source, has_derivation } = this.write(item, verdict).body;
    return (
      past.verdict !== verdict || past.note !== draft.note || past.source !== source
      || past.has_derivation !== has_derivation || JSON.stringify(past.labels) !== JSON.stringify(labels)
    );
  }
}

// A draft: `ticks` (options that hold; empty = none; null = nothing answered), `override` (a verdict
// in place of the derived one), `isKeyShown` and the answer before that, `blind`; what a changed
// key rests on, `source` and `isDerived`, and whether the desk has asked for it; `note`.
const SHAPE = {
  empty: (item) => ({
    ticks: item.mode === "quick" && item.chosen !== null ? [item.chosen] : null,
    override: null, isKeyShown: false, blind: null, source: "", isDerived: false, isAsked: false, note: "",
  }),
  // Who has given a verdict has seen the key.
  resume(item, past) {
    const ticks = past.labels ?? (past.verdict === "label_correct" ? [item.key_label] : null);
    const derived = item.mode === "full" ? proposeVerdict(ticks, item.key_label) : null;
    return {
      ticks,
      override: item.mode === "quick" || past.verdict === derived ? null : past.verdict,
      isKeyShown: true,
      blind: past.blind_labels,
      source: past.source,
      isDerived: past.has_derivation,
      note: past.note,
    };
  },
};
