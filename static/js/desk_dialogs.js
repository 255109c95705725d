// The desk's dialogs: note, more examples, and the keys with their changes.
class NoteDialog {
  #dialog = document.getElementById("note-dialog");
  #field = this.#dialog.querySelector("textarea");

  constructor(keep) {
    this.#field.addEventListener("input", () => keep(this.#field.value));
    this.#field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        this.#dialog.close();
      }
    });
  }

  open(text) {
    this.#field.value = text;
    this.#dialog.showModal();
  }
}

class ExemplarsDialog {
  #dialog = document.getElementById("exemplars-dialog");
  #body = this.#dialog.querySelector("[data-part=exemplars]");
  #exemplars;

  constructor(exemplars) {
    this.#exemplars = exemplars;
    this.#dialog.addEventListener("keydown", (event) => {
      if (readKey(event) !== this.closedBy) return;
      event.preventDefault();
      this.#dialog.close();
    });
  }

  open(item, classes, key) {
    this.closedBy = key;
    this.#body.replaceChildren(...classes.map((one) => this.#section(one, item)));
    this.#dialog.showModal();
  }

  #section(one, item) {
    const section = document.createElement("section");
    const head = document.createElement("h3");
    head.className = "candidate-class";
    head.append(...writeClass(one));
    const pictures = document.createElement("div");
    pictures.className = "exemplars";
    pictures.append(...this.#exemplars.write(one, item, 12));
    section.append(head, pictures);
    return section;
  }
}

class KeysDialog {
  #dialog = document.getElementById("keys-dialog");
  #list = this.#dialog.querySelector("[data-part=keys]");
  #note = this.#dialog.querySelector("[data-part=keys-note]");
  #keymap;
  #save;
  #waiting = null; // the act whose new key is awaited

  // `save(keys)` stores them and resolves to why not, or nothing.
  constructor(keymap, save) {
    this.#keymap = keymap;
    this.#save = save;
    this.#dialog.addEventListener("keydown", (event) => this.#press(event));
    this.#dialog.addEventListener("close", () => this.#wait(null));
    this.#list.addEventListener("click", (event) => {
      const button = event.target.closest("[data-change]");
      if (button) this.#wait(this.#waiting === button.dataset.change ? null : button.dataset.change);
    });
    this.#dialog.querySelector("[data-part=keys-reset]").addEventListener("click", () => this.#change({}));
  }

  toggle() {
    if (this.#dialog.open) return this.#dialog.close();
    this.#draw();
    this.#dialog.showModal();
  }

  #draw() {
    const groups = [...new Set(this.#keymap.acts.map((act) => act.group))];
    this.#list.replaceChildren(...groups.map((group) => this.#section(group)));
  }

  #section(group) {
    const section = document.createElement("section");
    const head = document.createElement("h3");
    head.textContent = group;
    section.append(head);
    if (group === "Classes") section.append(this.#fixed("1 – 9", "Tick or choose that row"), this.#fixed("⇧ 1 – 9", "Make that row the main class"));
    if (group === "Answer") section.append(this.#fixed("1 – 9", "Tick that option"), this.#fixed("⇧ A – J", "Tick that option"));
    for (const act of this.#keymap.acts.filter((one) => one.group === group)) {
      const button = document.createElement("button");
      const isWaiting = act.name === this.#waiting;
      button.type = "button";
      button.className = "key-change";
      button.dataset.change = act.name;
      button.setAttribute("aria-label", `${act.does}: ${this.#keymap.shown(act.name)}. Change this key`);
      button.setAttribute("aria-pressed", String(isWaiting));
      const key = document.createElement("kbd");
      key.textContent = isWaiting ? "press …" : this.#keymap.shown(act.name);
      const does = document.createElement("span");
      does.textContent = act.does;
      button.append(key, does);
      section.append(button);
    }
    return section;
  }

  #fixed(key, does) {
    const line = document.createElement("div");
    const shown = document.createElement("kbd");
    shown.textContent = key;
    line.append(shown, does);
    return line;
  }

  #wait(name) {
    this.#waiting = name;
    this.#note.textContent = name
      ? "Press the new key. Escape keeps the old one."
      : "Choose a key to change it. The keys are yours on every device.";
    const focused = document.activeElement?.dataset.change;
    this.#draw();
    this.#list.querySelector(`[data-change="${name ?? focused}"]`)?.focus();
  }

  #press(event) {
    if (!this.#waiting || ["shift", "control", "alt", "meta", "tab"].includes(event.key.toLowerCase())) return;
    event.preventDefault();
    if (event.key === "Escape") return this.#wait(null);
    const key = readKey(event);
    const other = this.#keymap.conflict(this.#waiting, key);
    if (other) {
      this.#note.textContent = `${showKey(key)} already means “${other.does}”. Press another key, or change that one first.`;
      return;
    }
    this.#change({ ...this.#keymap.keys, [this.#waiting]: key });
  }

  async #change(keys) {
    const reason = await this.#save(keys);
    const name = this.#waiting;
    this.#wait(null);
    this.#list.querySelector(`[data-change="${name}"]`)?.focus();
    this.#note.textContent = reason ?? "Saved.";
  }
}
