// The text pane: sets the questions to come before they are wanted, and paints at once.
class QuestionPane extends EventTarget {
  #pane;
  #text;
  #set = new Map(); // slot -> the question's text and options as elements
  trouble = ""; // a text is always there

  constructor(pane) {
    super();
    this.#pane = pane;
    this.#text = pane.querySelector("[data-part=question]");
    this.#text.addEventListener("scroll", () => this.#tellMore(), { passive: true });
    addEventListener("resize", () => this.#tellMore());
  }

  prefetch(items) {
    for (const item of items) this.#of(item);
    for (const slot of [...this.#set.keys()].slice(0, -24)) {
      if (!items.some((item) => item.slot === slot)) this.#set.delete(slot);
    }
  }

  // An option's text, a copy: the same one stands in several places.
  option(item, index) {
    return this.#of(item).options[index].cloneNode(true);
  }

  show(item) {
    this.#pane.dataset.state = "shown";
    this.#pane.querySelector("[data-part=subject]").textContent = nameSubject(item.subject);
    this.#text.replaceChildren(this.#of(item).question.cloneNode(true));
    this.#text.scrollTop = 0;
    this.dispatchEvent(new CustomEvent("state", { detail: "shown" }));
    requestAnimationFrame(() => this.#tellMore());
  }

  // Whether there is more of the text below.
  #tellMore() {
    const { scrollHeight, clientHeight, scrollTop } = this.#text;
    this.#pane.querySelector("[data-part=more]").hidden = scrollHeight - clientHeight - scrollTop < 8;
  }

  scroll(direction) {
    this.#text.scrollBy({ top: direction * 0.85 * this.#text.clientHeight });
  }

  #of(item) {
    let texts = this.#set.get(item.slot);
    if (!texts) {
      texts = { question: writeText(item.question), options: item.choices.map(writeText) };
      this.#set.set(item.slot, texts);
    }
    return texts;
  }
}

function nameSubject(subject) {
  return subject.replaceAll("_", " ");
}
