// A desk for multiple-choice questions: the text, the options, what a changed key rests on.
function equipDesk({ root, drafts, keymap, open, redraw, say, judge }) {
  keymap.letters = "abcdefghij";
  const pane = new QuestionPane(document.getElementById("text"));
  const view = new QuestionView(root, pane);
  const answers = new Answers(drafts, { open, redraw, say });
  const sourceDialog = new SourceDialog((text) => {
    drafts.change(open(), { source: text.slice(0, MOST_SOURCE) });
    redraw();
  }, submitQuickly);

  root.addEventListener("change", ({ target }) => {
    if (target.id === "option-none") answers.chooseNone();
    else if (target.closest(".option")) answers.mark(open(), Number(target.value));
  });

  // At the quick desk a verdict that waited for its source goes as soon as it has one.
  function submitQuickly() {
    const item = open();
    const verdict = item?.mode === "quick" ? answers.standing(item) : null;
    if (verdict && !answers.needsSource(item, verdict)) judge(verdict);
  }

  return {
    view,
    pane,
    answers,
    prefetch: (items) => pane.prefetch(items),
    start() {},
    actions: {
      derivation() {
        answers.toggleDerivation();
        submitQuickly();
      },
      source: () => open() && sourceDialog.open(drafts.of(open()).source),
      scroll: (direction) => pane.scroll(Number(direction)),
    },
  };
}

class SourceDialog {
  #dialog = document.getElementById("source-dialog");
  #field = this.#dialog.querySelector("input");

  constructor(keep, done) {
    this.#field.addEventListener("input", () => keep(this.#field.value.trim()));
    this.#field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault();
      this.#dialog.close();
      done();
    });
  }

  open(text) {
    this.#field.value = text;
    this.#dialog.showModal();
  }
}
