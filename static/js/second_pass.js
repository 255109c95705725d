// Two dots per expert, its accuracy by given and by cleaned labels, each with its limits.
(() => {
  const source = document.getElementById("second-pass-data");
  const figure = document.querySelector('[data-chart="second-pass"]');
  if (!source || !figure) return;
  const { experts } = JSON.parse(source.textContent);
  const KINDS = [["given", "chart-2", 6], ["cleaned", "chart-1", -6]];
  const write = (value) => value.toFixed(4).replace(/^0(?=\.)/, "");
  const all = experts.flatMap(({ accuracy }) => KINDS.flatMap(([kind]) => [accuracy[kind].low, accuracy[kind].high]));
  const edge = (value, round) => round(value * 20) / 20;

  const limits = (kind, colour, shift) => ({
    type: "custom", silent: true, z: 2, tooltip: { show: false }, encode: { x: [0, 1], y: 2 },
    data: experts.map(({ accuracy }, place) => [accuracy[kind].low, accuracy[kind].high, place]),
    renderItem: (params, api) => {
      const [from, y] = api.coord([api.value(0), api.value(2)]);
      const [to] = api.coord([api.value(1), api.value(2)]);
      return { type: "line", shape: { x1: from, y1: y - shift, x2: to, y2: y - shift }, style: { stroke: colour, lineWidth: 4, opacity: 0.35 } };
    },
  });

  const option = (colours) => ({
    grid: { left: 30, right: 18, top: 34, bottom: 30, containLabel: true },
    legend: Charts.legend(colours, { top: 0, left: 0, data: KINDS.map(([kind]) => kind) }),
    tooltip: Charts.tooltip(colours, {
      formatter: ({ seriesName, dataIndex }) => {
        const { name, accuracy } = experts[dataIndex];
        return `${name}, by ${seriesName} labels\n${write(accuracy[seriesName].estimate)}  (${write(accuracy[seriesName].low)} – ${write(accuracy[seriesName].high)})`;
      },
    }),
    xAxis: Charts.axis(colours, { type: "value", min: edge(Math.min(...all), Math.floor), max: Math.min(1, edge(Math.max(...all), Math.ceil)), name: "accuracy", axisLabel: { color: colours.muted, formatter: (value) => value.toFixed(2) } }),
    yAxis: Charts.axis(colours, {
      type: "category", inverse: true, data: experts.map(({ name }) => name), axisTick: { show: false }, splitLine: { show: false },
      axisLabel: { color: colours.muted, width: figure.clientWidth < 560 ? 110 : 260, overflow: "truncate", interval: 0 },
    }),
    series: KINDS.flatMap(([kind, token, shift]) => [
      limits(kind, colours[token], shift),
      { name: kind, type: "scatter", symbolSize: 9, z: 3, symbolOffset: [0, -shift], itemStyle: { color: colours[token] }, data: experts.map(({ accuracy }, place) => [accuracy[kind].estimate, place]) },
    ]),
  });

  Charts.mount(figure, {
    option,
    rows: () => [["expert", "labels", "accuracy", "low", "high"], ...experts.flatMap(({ name, accuracy }) => KINDS.map(([kind]) => [name, kind, accuracy[kind].estimate, accuracy[kind].low, accuracy[kind].high]))],
  });
})();
