// What somebody has said of each item and not submitted yet: it outlives a reload.
// A draft: `ticks` (classes that hold, the main one first; empty = none; null = nothing chosen),
// `override` (a verdict in place of the proposed one), `severity`, `note`, and at the quick desk
// `chosen` (the right class or null); `added` are classes found by search.
class Drafts {
  #prefix;
  #kept = new Map(); // slot -> draft

  constructor(prefix) {
    this.#prefix = `${prefix}:draft:`;
  }

  of(item) {
    let draft = this.#kept.get(item.slot);
    if (!draft) {
      const stored = device.read(this.#prefix + item.slot);
      draft = stored ? JSON.parse(stored) : emptyDraft(item);
      this.#kept.set(item.slot, draft);
    }
    return draft;
  }

  change(item, changes) {
    const draft = { ...this.of(item), ...changes };
    this.#kept.set(item.slot, draft);
    device.write(this.#prefix + item.slot, JSON.stringify(draft));
    return draft;
  }

  // Begin with what was said before.
  resume(item, past) {
    const ticks = past.ticked ?? readTicks(item, past);
    const proposed = item.mode === "full" ? proposeVerdict(ticks?.map((one) => one.index) ?? null, item.categories) : null;
    this.change(item, {
      ...emptyDraft(item),
      ticks,
      override: past.verdict === proposed ? null : past.verdict,
      severity: past.severity,
      note: past.note,
      chosen: IS_ERROR.has(past.verdict) ? (past.corrected?.index ?? null) : (item.chosen ?? null),
      added: [past.corrected, ...(ticks ?? [])].filter((one) => one && isNew(item, one)),
    });
  }

  forget(item) {
    this.#kept.delete(item.slot);
    device.remove(this.#prefix + item.slot);
  }
}

function emptyDraft(item) {
  return { ticks: null, override: null, severity: null, note: "", chosen: item.chosen ?? null, added: [] };
}

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
