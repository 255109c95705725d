// Questions and options are set as at the desk, also those that come into the page later.
(() => {
  const set = (part) => {
    for (const place of part.querySelectorAll("[data-written]")) {
      place.replaceChildren(writeText(place.textContent));
      delete place.dataset.written;
    }
  };
  set(document);
  document.addEventListener("htmx:afterSwap", ({ detail }) => set(detail.target));
})();
