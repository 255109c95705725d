// How far two methods differ in precision where both find the same share of errors: a dot with its
// own interval, and a thin line for the limits that hold for all comparisons of the page at once.
(() => {
  const figure = document.querySelector('[data-chart="differences"]');
  if (!figure) return;
  const { first, second } = document.querySelector(".curves").dataset;
  const report = JSON.parse(document.getElementById("curves-data").textContent);
  const rows = report.equal_detection.filter(({ a, b }) => a === first && b === second);
  const share = (value) => value.toFixed(3).replace(/^(-?)0(?=\.)/, "$1");
  const limits = ({ low, high }) => `${share(low)} to ${share(high)}`;
  const percent = (rate) => `${Math.round(100 * rate)} %`;

  const whiskers = (colour, part, lineWidth, opacity) => ({
    type: "custom", silent: true, z: 2, tooltip: { show: false },
    data: rows.map((row, place) => [place, row[part].low, row[part].high]),
    renderItem: (params, api) => {
      const [x, from] = api.coord([api.value(0), api.value(1)]);
      const [, to] = api.coord([api.value(0), api.value(2)]);
      return { type: "line", shape: { x1: x, y1: from, x2: x, y2: to }, style: { stroke: colour, lineWidth, opacity } };
    },
  });

  const option = (colours) => {
    const furthest = Math.max(0.01, ...rows.flatMap(({ together }) => [Math.abs(together.low), Math.abs(together.high)]));
    const end = Math.ceil(furthest * 20) / 20;
    return {
      grid: { left: 34, right: 16, top: 12, bottom: 28, containLabel: true },
      tooltip: Charts.tooltip(colours, {
        formatter: ({ dataIndex }) => {
          const { rate, difference, together } = rows[dataIndex];
          return `${percent(rate)} of all errors: ${share(difference.estimate)}  (${limits(difference)})\nfor all at once: ${limits(together)}`;
        },
      }),
      xAxis: Charts.axis(colours, { type: "category", name: `${report.kind} detection rate`, data: rows.map(({ rate }) => percent(rate)), axisTick: { show: false }, axisLine: { onZero: true, lineStyle: { color: colours["line-strong"] } }, axisLabel: { color: colours.muted, hideOverlap: true } }),
      yAxis: Charts.axis(colours, { type: "value", min: -end, max: end, interval: end, name: "difference", nameGap: 40, axisLabel: { color: colours.muted, formatter: (value) => value.toFixed(2) } }),
      series: [
        whiskers(colours["chart-1"], "together", 1.5, 0.9),
        whiskers(colours["chart-1"], "difference", 6, 0.3),
        { type: "scatter", symbolSize: 9, z: 3, itemStyle: { color: colours["chart-1"] }, data: rows.map(({ difference }) => difference.estimate) },
      ],
    };
  };

  Charts.mount(figure, {
    option,
    rows: () => [
      ["first", "second", "detection rate", "difference in precision", "low", "high", "low for all at once", "high for all at once"],
      ...rows.map(({ rate, difference, together }) => [first, second, rate, difference.estimate, difference.low, difference.high, together.low, together.high]),
    ],
  });
})();
