// The agreement page's picture: every coefficient with its interval, one under the other.
(() => {
  const data = document.getElementById("agreement-data");
  const figure = document.querySelector('[data-chart="agreement"]');
  if (!data || !figure) return;
  const report = JSON.parse(data.textContent);
  const all = [
    ...report.coefficients.map((one) => ({ ...one, isPair: false })),
    ...report.pairs.map((one) => ({ ...one, name: `${one.a} and ${one.b}`, isPair: true })),
  ];
  const shown = all.filter((one) => one.is_defined).reverse(); // the first one on top
  if (!shown.length) return (figure.hidden = true);
  const write = (value) => value.toFixed(2);
  figure.querySelector(".chart-canvas").dataset.rows = shown.length > 9 ? "many" : "few";

  const option = (colours) => ({
    grid: { left: 12, right: 20, top: 8, bottom: 30, containLabel: true },
    tooltip: Charts.tooltip(colours, {
      formatter: ({ dataIndex }) => {
        const one = shown[dataIndex];
        return `${one.name}\n${write(one.estimate)}  (${write(one.low)} to ${write(one.high)}), ${one.n} items`;
      },
    }),
    xAxis: Charts.axis(colours, {
      type: "value", max: 1, interval: 0.5, min: Math.min(0, Math.floor(Math.min(...shown.map((one) => one.low)) * 2) / 2), name: "agreement",
      axisLabel: { color: colours.muted, formatter: (value) => value.toFixed(1) },
    }),
    yAxis: Charts.axis(colours, {
      type: "category", data: shown.map((one) => one.name), axisTick: { show: false },
      axisLabel: { color: colours.text, width: 150, overflow: "truncate", interval: 0 },
    }),
    series: [
      {
        type: "custom", silent: true, z: 2, tooltip: { show: false },
        data: shown.map((one, place) => [one.low, place, one.high]), encode: { x: [0, 2], y: 1 },
        renderItem: (params, api) => {
          const [from, y] = api.coord([api.value(0), api.value(1)]);
          const [to] = api.coord([api.value(2), api.value(1)]);
          const stroke = shown[params.dataIndex].isPair ? colours["chart-5"] : colours["chart-1"];
          return { type: "line", shape: { x1: from, y1: y, x2: to, y2: y }, style: { stroke, lineWidth: 6, opacity: 0.3 } };
        },
      },
      {
        type: "scatter", symbolSize: 10, z: 3,
        data: shown.map((one, place) => ({
          value: [one.estimate, place], itemStyle: { color: one.isPair ? colours["chart-5"] : colours["chart-1"] },
        })),
      },
    ],
  });
  const rows = () => [
    ["figure", "items", "estimate", "low", "high"],
    ...[...shown].reverse().map((one) => [one.name, one.n, one.estimate, one.low, one.high]),
  ];
  Charts.mount(figure, { option, rows });
})();
