// Each class's gap between confidence and accuracy as a dot with its limits, worst on top.
(() => {
  const source = document.getElementById("class-gaps");
  const figure = document.querySelector('[data-chart="class-gaps"]');
  if (!source || !figure) return;
  const rows = JSON.parse(source.textContent);
  const write = (value) => value.toFixed(3).replace(/^(-?)0(?=\.)/, "$1");
  figure.querySelector(".chart-canvas").classList.add(`rows-${Math.min(30, Math.max(5, Math.ceil(rows.length / 5) * 5))}`);

  const colourOf = ({ low, high }, colours) => (low > 0 ? colours["chart-2"] : high < 0 ? colours["chart-1"] : colours["line-strong"]);

  const option = (colours) => ({
    grid: { left: 30, right: 18, top: 10, bottom: 34, containLabel: true },
    tooltip: Charts.tooltip(colours, {
      formatter: ({ dataIndex }) => `${rows[dataIndex].name}: ${rows[dataIndex].n} items\ngap ${write(rows[dataIndex].gap)}  (${write(rows[dataIndex].low)} to ${write(rows[dataIndex].high)})`,
    }),
    xAxis: Charts.axis(colours, {
      type: "value", name: "overconfident to the right", axisLabel: { color: colours.muted, formatter: (value) => String(Number(value.toFixed(3))), hideOverlap: true },
    }),
    yAxis: Charts.axis(colours, {
      type: "category", inverse: true, data: rows.map(({ name }) => name), axisTick: { show: false }, splitLine: { show: false },
      axisLabel: { color: colours.muted, width: figure.clientWidth < 560 ? 110 : 220, overflow: "truncate", interval: 0 },
    }),
    series: [
      {
        type: "custom", silent: true, z: 2, tooltip: { show: false }, data: rows.map(({ low, high }, place) => [low, high, place]),
        encode: { x: [0, 1], y: 2 },
        renderItem: (params, api) => {
          const [from, y] = api.coord([api.value(0), api.value(2)]);
          const [to] = api.coord([api.value(1), api.value(2)]);
          return { type: "line", shape: { x1: from, y1: y, x2: to, y2: y }, style: { stroke: colourOf(rows[params.dataIndex], colours), lineWidth: 4, opacity: 0.35 } };
        },
      },
      {
        type: "scatter", symbolSize: 8, z: 3, markLine: { silent: true, symbol: "none", label: { show: false }, lineStyle: { color: colours["line-strong"], type: "dashed" }, data: [{ xAxis: 0 }] },
        data: rows.map((row, place) => ({ value: [row.gap, place], itemStyle: { color: colourOf(row, colours) } })),
      },
    ],
  });

  Charts.mount(figure, { option, rows: () => [["class", "items", "gap", "low", "high"], ...rows.map(({ name, n, gap, low, high }) => [name, n, gap, low, high])] });
})();
