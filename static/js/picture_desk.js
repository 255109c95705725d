// A desk for pictures: the pane, the classes with their examples, the search among all of them.
function equipDesk({ root, config, drafts, keymap, open, redraw, say }) {
  const exemplars = new Exemplars(config.thumb);
  const view = new PictureView(root, exemplars);
  const pane = new Picture(document.getElementById("picture"));
  const answers = new Answers(drafts, { open, redraw, say });
  const search = new ClassSearch(document.getElementById("search-dialog"), config.urls.class_search);
  const exemplarsDialog = new ExemplarsDialog(exemplars);
  const withItem = (act) => () => open() && act(open());

  function classOf(index) {
    return answers.classesOf(open()).find((one) => one.index === Number(index));
  }
  root.addEventListener("change", ({ target }) => {
    if (target.name === "corrected" && target.value === "") answers.chooseNone();
    else if (target.name === "corrected") answers.mark(open(), classOf(target.value));
    else if (target.id === "tick-none") answers.chooseNone();
    else if (target.closest(".tick")) answers.mark(open(), classOf(target.value));
  });
  root.addEventListener("click", ({ target }) => {
    if (target.closest("[data-main]")) answers.makeMain(target.closest(".tick").dataset.number);
  });

  return {
    view,
    pane,
    answers,
    prefetch(items) {
      pane.prefetch(items.map((item) => item.image));
      for (const item of items.slice(1, 3)) exemplars.prefetch(item);
    },
    start: () => search.load(),
    actions: {
      main: (number) => answers.makeMain(number),
      search: withItem((item) => search.open((one) => answers.add(item, one))),
      severity: () => answers.nextSeverity(),
      exemplars: withItem((item) => exemplarsDialog.open(item, answers.classesOf(item), keymap.keys.exemplars)),
      actual: () => pane.toggleActual(),
      fit: () => pane.fit(),
      zoom: (direction) => pane.zoom(Number(direction)),
    },
  };
}
