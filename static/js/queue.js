// The queue explorer: the k slider shows its count while it moves, the grid follows when it
// rests; pictures open large, with the arrow keys leading on.
(() => {
  // Form values aren't part of a page's snapshot: Back loads the page for its address instead.
  htmx.config.historyCacheSize = 0;
  htmx.config.refreshOnHistoryMiss = true;

  const slider = document.getElementById("k");
  const figure = document.querySelector('[data-chart="depth"]');
  const binFilter = document.getElementById("filter-bin");
  const readCounts = () => JSON.parse(document.getElementById("counts-by-k")?.textContent ?? "[]");
  const write = (count) => count.toLocaleString("en-US");

  const chosenBin = () => Number(binFilter.value) || null;

  const option = (colours) => {
    const k = Number(slider.value);
    const bin = chosenBin();
    const isShown = (place) => (bin ? place + 1 === bin : place < k);
    return {
      grid: { left: 4, right: 4, top: 8, bottom: 4, containLabel: true },
      tooltip: Charts.tooltip(colours, { trigger: "axis", axisPointer: { type: "none" }, formatter: ([{ dataIndex, value }]) => `k = ${dataIndex + 1}: ${write(value)} items` }),
      xAxis: Charts.axis(colours, { type: "category", data: readCounts().map((_, place) => place + 1), axisTick: { show: false }, axisLine: { show: false } }),
      yAxis: Charts.axis(colours, { type: "value", splitNumber: 3, minInterval: 1 }),
      series: [{
        type: "bar", barCategoryGap: "22%",
        data: readCounts().map((value, place) => ({ value, itemStyle: { color: isShown(place) ? colours.accent : colours.line, borderRadius: [3, 3, 0, 0] } })),
      }],
    };
  };

  const showDepth = () => {
    if (!slider) return;
    const counts = readCounts();
    const k = Number(slider.value);
    const bin = chosenBin();
    const count = bin ? counts[bin - 1] - (counts[bin - 2] ?? 0) : counts[k - 1];
    document.getElementById("k-count").textContent = `${write(count)} items`;
    document.getElementById("k-text").textContent = bin ? `in bin ${bin}` : `in the top ${k} of ${slider.max}`;
    slider.disabled = Boolean(bin);
    slider.closest(".slider").classList.toggle("off", Boolean(bin));
    tellWorth(bin ? null : k);
    if (figure.instance) Charts.redraw(figure);
  };

  // What people's verdicts make of each k; loaded once, after the page.
  const told = document.getElementById("k-told");
  let worth = null;
  const share = (value) => value.toFixed(2).replace(/^0(?=\.)/, "");
  const rate = ({ estimate, low, high, census }) => (estimate === null ? "not known" : `${share(estimate)} (${census ? "all judged" : `${share(low)} – ${share(high)}`})`);
  const time = (seconds) => {
    const minutes = Math.max(1, Math.round(seconds / 60));
    return minutes < 120 ? `${minutes} min` : `${(minutes / 60).toFixed(0)} h`;
  };
  const tellWorth = (k) => {
    const point = worth?.points.find((each) => each.k === k);
    if (!point) { told.textContent = ""; return; }
    const cost = worth.seconds ? `; one look at each takes about ${time(worth.seconds * point.flagged)}, at ${worth.seconds.toFixed(1)} s a verdict so far` : "";
    told.textContent = worth.judged
      ? `Of all items in the top ${k}: precision ${rate(point.precision)}, ${worth.kind === "relative" ? "relative " : ""}detection rate ${rate(point.detection_rate)} by ${worth.truth}${cost}.`
      : "Precision and detection rate show here once a sample is judged.";
  };
  const loadWorth = async () => {
    const answer = await fetch(told.dataset.figures);
    if (!answer.ok) return;
    worth = await answer.json();
    showDepth();
  };

  if (slider) {
    const chart = Charts.mount(figure, { option, rows: () => [["k", "items"], ...readCounts().map((count, place) => [place + 1, count])] });
    slider.addEventListener("input", showDepth);
    binFilter.addEventListener("change", showDepth);
    chart.getZr().on("click", (event) => {
      const [place] = chart.convertFromPixel({ gridIndex: 0 }, [event.offsetX, event.offsetY]);
      const k = Math.min(Number(slider.max), Math.max(1, Math.round(place) + 1));
      binFilter.value = "";
      slider.value = k;
      showDepth();
      slider.dispatchEvent(new Event("change", { bubbles: true }));
    });
    showDepth();
    loadWorth();
  }

  const dialog = document.getElementById("item-dialog");
  let current = null;
  let direction = 0;

  const open = (link) => link?.click();
  const step = (by) => {
    direction = by;
    const links = [...document.querySelectorAll("[data-item]")];
    open(links[links.indexOf(current) + by]);
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-item]");
    if (link) current = link;
    const button = event.target.closest("[data-step]");
    if (button) step(Number(button.dataset.step));
    if (event.target.closest("[data-close]") || event.target === dialog) dialog.close();
  });
  // An address says what is chosen, not what isn't.
  document.addEventListener("htmx:configRequest", ({ detail }) => {
    if (detail.elt.id !== "queue-form") return;
    for (const [name, value] of [...detail.formData.entries()]) if (value === "") detail.formData.delete(name);
  });
  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (detail.target.id !== "item-view") return;
    if (!dialog.open) dialog.showModal();
    // The button that had the focus is gone with the item before.
    else dialog.querySelector(`[data-step="${direction}"]`)?.focus();
  });
  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    if (detail.target.id === "queue-results" || detail.elt?.id === "queue-results") showDepth();
  });
  document.addEventListener("keydown", (event) => {
    if (!dialog?.open) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  dialog?.addEventListener("close", () => current?.focus());
})();
