// The People page's picture: verdicts per day, one colour per person.
(() => {
  const data = document.getElementById("activity-data");
  const figure = document.querySelector('[data-chart="activity"]');
  if (!data || !figure) return;
  const { days, people } = JSON.parse(data.textContent);
  const colourOf = (place, colours) => colours[`chart-${(place % 9) + 1}`];
  const option = (colours) => ({
    grid: { left: 12, right: 12, top: 40, bottom: 8, containLabel: true },
    legend: Charts.legend(colours, { type: "scroll", top: 4, left: 4 }),
    tooltip: Charts.tooltip(colours, { trigger: "axis" }),
    xAxis: Charts.axis(colours, { type: "category", data: days, axisTick: { show: false } }),
    yAxis: Charts.axis(colours, { type: "value", minInterval: 1 }),
    series: people.map(({ name, verdicts }, place) => ({
      name, type: "bar", stack: "all", barMaxWidth: 48, data: verdicts, itemStyle: { color: colourOf(place, colours) },
    })),
  });
  const rows = () => [["day", ...people.map(({ name }) => name)], ...days.map((day, place) => [day, ...people.map(({ verdicts }) => verdicts[place])])];
  Charts.mount(figure, { option, rows });
})();
