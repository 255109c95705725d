// What somebody has said of each item and not submitted yet: it outlives a reload.
// `shape` says what a draft of this kind of item holds: `empty(item)`, and `resume(item, past)`.
class Drafts {
  #prefix;
  #shape;
  #kept = new Map(); // slot -> draft

  constructor(prefix, shape) {
    this.#prefix = `${prefix}:draft:`;
    this.#shape = shape;
  }

  of(item) {
    let draft = this.#kept.get(item.slot);
    if (!draft) {
      const stored = device.read(this.#prefix + item.slot);
      draft = stored ? JSON.parse(stored) : this.#shape.empty(item);
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
    this.change(item, { ...this.#shape.empty(item), ...this.#shape.resume(item, past) });
  }

  forget(item) {
    this.#kept.delete(item.slot);
    device.remove(this.#prefix + item.slot);
  }
}
