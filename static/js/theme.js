// Light or dark: the system's wish until a person chooses. Loaded before the first paint.
(() => {
  const KEY = "label-audit:theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const read = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage switched off: the system decides
    }
  };
  const apply = (choice) => {
    if (choice === "light" || choice === "dark") root.dataset.theme = choice;
    else delete root.dataset.theme;
    document.dispatchEvent(new CustomEvent("theme-change"));
  };
  const toggle = () => {
    const dark = (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
    const wanted = dark ? "light" : "dark";
    const choice = (wanted === "dark") === system.matches ? null : wanted;
    try {
      if (choice) localStorage.setItem(KEY, choice);
      else localStorage.removeItem(KEY);
    } catch {
      // the choice then holds for this page only
    }
    apply(choice);
  };

  apply(read());
  system.addEventListener("change", () => apply(read()));
  addEventListener("storage", (event) => {
    if (event.key === KEY) apply(event.newValue);
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-theme-toggle]")) toggle();
  });
})();
