// Finding one class among thousands: by name, WordNet id, number or gloss, typos forgiven.
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
      this.#classes = classes.map((one) => ({ ...one, text: one.name.toLowerCase(), about: one.gloss.toLowerCase() }));
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
    const wanted = this.#input.value.trim().toLowerCase();
    const ranked = wanted
      ? (this.#classes ?? []).map((one) => [rankClass(one, wanted), one]).filter(([rank]) => rank > 0)
          .sort(([a, one], [b, other]) => b - a || one.index - other.index).map(([, one]) => one)
      : [...this.#recent, ...(this.#classes ?? []).filter((one) => !this.#recent.includes(one))];
    this.#found = ranked.slice(0, 50);
    this.#note.textContent = this.#found.length ? "" : `No class is called “${this.#input.value.trim()}”.`;
    this.#list.replaceChildren(...this.#found.map((one, place) => this.#row(one, place)));
    this.#activate(0);
  }

  #row(one, place) {
    const row = document.createElement("li");
    row.setAttribute("role", "option");
    row.id = `class-${place}`;
    row.dataset.place = place;
    row.append(...writeClass(one));
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

// Higher is better, 0 is no match. Letters in order but apart count last.
function rankClass(one, wanted) {
  if (one.wordnet_id === wanted || String(one.index) === wanted) return 100;
  if (one.text === wanted) return 90;
  if (one.text.startsWith(wanted)) return 80;
  if (one.text.split(/[\s,_-]+/).some((word) => word.startsWith(wanted))) return 70;
  if (one.wordnet_id.startsWith(wanted)) return 60;
  if (one.text.includes(wanted)) return 50;
  const words = wanted.split(/\s+/);
  if (words.every((word) => one.text.includes(word) || one.about.includes(word))) return 40;
  let from = 0;
  for (const letter of wanted.replace(/\s/g, "")) {
    from = one.text.indexOf(letter, from) + 1;
    if (from === 0) return 0;
  }
  return wanted.length > 2 ? 10 : 0;
}
