// The adjudication page: questions set as at the desk, and the desk's keys on its form.
(() => {
  const { acts, keys } = JSON.parse(document.getElementById("adjudication-keys").textContent);
  const form = document.querySelector(".ruling");
  const reason = document.getElementById("id_reason");
  const boxes = [...form.querySelectorAll("[name=labels]")];
  const keymap = new Keymap(acts);
  keymap.use(keys);
  keymap.letters = "abcdefghij".slice(0, form.querySelector(".option-letter") ? 10 : 0);

  for (const key of document.querySelectorAll("kbd[data-key]")) key.textContent = keymap.shown(key.dataset.key);

  const actions = {
    verdict: (verdict) => form.querySelector(`[name=verdict][value="${verdict}"]`)?.click(),
    toggle: (number) => boxes[number - 1]?.click(),
    main: (number) => form.querySelectorAll("[name=main]")[number - 1]?.click(),
    none: () => boxes.forEach((box) => box.checked && box.click()),
    search: () => form.querySelector("[name=other_class]")?.focus(),
    note: () => reason.focus(),
    submit: () => form.requestSubmit(),
    forward: () => document.querySelector("[data-act=forward]")?.click(),
  };
  listenToKeys(keymap, (action, value) => actions[action]?.(value));
  // The main class holds, and one that doesn't hold is not the main one.
  form.addEventListener("change", ({ target }) => {
    const row = target.closest("tr");
    if (target.name === "main") row.querySelector("[name=labels]").checked = true;
    if (target.name === "labels" && !target.checked) {
      const main = row.querySelector("[name=main]");
      if (main) main.checked = false;
    }
  });
  reason.addEventListener("keydown", (event) => {
    if (event.key === "Escape") reason.blur();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  // A second click sends nothing: the first one is on its way.
  form.addEventListener("submit", (event) => {
    if (form.dataset.isSent) event.preventDefault();
    form.dataset.isSent = "true";
  });
  addEventListener("pageshow", () => delete form.dataset.isSent);
})();
