// The dialog that finds one class among thousands (see class_ranking.js), also without a network.
const MOST_SHOWN = 30;

class ClassSearch {
  #dialog;
  #input;
  #list;
  #note;
  #classes = null;
  #found = [];
  #active = 0;
  #recent = [];
  #pick = () => {};
  #url;

  constructor(dialog, url) {
    this.#dialog = dialog;
    this.#url = url;
    this.#input = dialog.querySelector("input");
    this.#list = dialog.querySelector("[role=listbox]");
    this.#note = dialog.querySelector("[data-note]");
    this.#input.addEventListener("input", () => this.#search());
    this.#input.addEventListener("keydown", (event) => this.#steer(event));
    this.#list.addEventListener("click", (event) => {
      const row = event.target.closest("[role=option]");
      if (row) this.#choose(Number(row.dataset.place));
    });
  }

  async load() {
    if (this.#classes) return;
    try {
      const response = await fetch(this.#url, { redirect: "manual" });
      const { classes } = await response.json();
      this.#classes = classes.map(prepareClass);
      if (this.#dialog.open) this.#search();
    } catch {
      this.#note.textContent = "The list of classes could not be loaded; it is tried again when you open this.";
    }
  }

  open(pick) {
    this.#pick = pick;
    this.#input.value = "";
    this.#note.textContent = this.#classes ? "" : "Loading the classes …";
    this.#dialog.showModal();
    this.#input.focus();
    if (this.#classes) this.#search();
    else this.load();
  }

  #search() {
    const ranked = this.#input.value.trim()
      ? rankClasses(this.#classes ?? [], this.#input.value)
      : [...this.#recent, ...(this.#classes ?? []).filter((one) => !this.#recent.includes(one))];
    this.#found = ranked.slice(0, MOST_SHOWN);
    this.#note.textContent = this.#found.length ? "" : `No class is called “${this.#input.value.trim().slice(0, 60)}”.`;
    this.#list.replaceChildren(...this.#found.map((one, place) => this.#row(one, place)));
    this.#activate(0);
  }

  #row(one, place) {
    const row = document.createElement("li");
    row.setAttribute("role", "option");
    row.id = `class-${place}`;
    row.dataset.place = place;
    const parts = writeClass(one);
    if (one.synonyms.length) {
      const others = document.createElement("bdi");
      others.className = "synonyms";
      others.textContent = one.synonyms.join(", ");
      parts.splice(1, 0, others);
    }
    row.append(...parts);
    return row;
  }

  #steer(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      this.#activate(Math.max(0, Math.min(this.#found.length - 1, this.#active + step)));
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.#choose(this.#active);
    }
  }

  #activate(place) {
    this.#active = place;
    for (const row of this.#list.children) {
      row.setAttribute("aria-selected", String(Number(row.dataset.place) === place));
    }
    this.#list.children[place]?.scrollIntoView({ block: "nearest" });
    if (this.#found.length) this.#input.setAttribute("aria-activedescendant", `class-${place}`);
    else this.#input.removeAttribute("aria-activedescendant");
  }

  #choose(place) {
    const one = this.#found[place];
    if (!one) return;
    this.#recent = [one, ...this.#recent.filter((other) => other !== one)].slice(0, 9);
    this.#dialog.close();
    this.#pick(one);
  }
}
