// Accuracy against the small expert's share: a line per router, bands where there are some, both
// experts' own accuracies at the ends, a mark at the best point; and the sensitivity beside it.
(() => {
  const source = document.getElementById("cascade-data");
  if (!source) return;
  const found = JSON.parse(source.textContent);
  const names = JSON.parse(document.getElementById("cascade-names").textContent);
  const routers = Object.keys(names).filter((name) => found.curves[name].length);
  const COLOURS = { CC: "chart-1", UC: "chart-3", RC: "chart-5", MF: "chart-2", oracle: "chart-4" };
  const boxes = [...document.querySelectorAll("[data-router]")];
  const figureOf = (kind) => document.querySelector(`[data-chart="${kind}"]`);
  const write = (value, digits = 4) => value.toFixed(digits).replace(/^0(?=\.)/, "");
  const percent = (value) => `${(100 * value).toFixed(1)} %`;

  const band = (points, colour) => {
    const edge = [
      ...points.map((point) => [point.small_ratio, point.high]),
      ...points.map((point) => [point.small_ratio, point.low]).reverse(),
    ];
    return {
      type: "custom", silent: true, z: 1, data: [[0, 0]], tooltip: { show: false }, clip: true,
      renderItem: (params, api) => ({ type: "polygon", shape: { points: edge.map((place) => api.coord(place)) }, style: { fill: colour, opacity: 0.12 } }),
    };
  };

  const describe = ({ seriesName, data }) => {
    const { point, k } = data;
    const limits = point.low === undefined ? "" : `  (${write(point.low)} – ${write(point.high)})`;
    return `${seriesName}${k === undefined ? "" : `, k = ${k}`}\nsmall one answers ${percent(point.small_ratio)}\naccuracy ${write(point.accuracy)}${limits}`;
  };

  const line = (name, colour) => ({
    name: names[name], type: "line", z: name === "CC" ? 4 : 3, symbol: "circle",
    symbolSize: name === "RC" ? 0 : 5, showSymbol: name !== "RC",
    data: found.curves[name].map((point, k) => ({ value: [point.small_ratio, point.accuracy], point, k: name === "RC" || name === "oracle" ? undefined : k })),
    lineStyle: { color: colour, width: name === "CC" ? 2.5 : 1.75, type: name === "RC" ? "dashed" : "solid" },
    itemStyle: { color: colour },
  });

  const best = (colours) => ({
    name: "best point", type: "scatter", z: 5, symbol: "diamond", symbolSize: 14,
    data: [{ value: [found.best.small_ratio, found.best.accuracy], point: found.best, k: found.best.k }],
    itemStyle: { color: colours.accent, borderColor: colours.surface, borderWidth: 1.5 },
  });

  /** Ends of the axis, at whole steps around what is drawn. */
  const range = (values, step) => {
    const low = Math.floor(Math.min(...values) / step) * step, high = Math.ceil(Math.max(...values) / step) * step;
    return { min: Number(low.toFixed(6)), max: Number(high.toFixed(6)) };
  };
  const stepFor = (spread) => [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10].find((step) => spread / step <= 6) ?? 20;

  const routersOption = (colours) => {
    const shown = routers.filter((name) => boxes.find((box) => box.dataset.router === name)?.checked);
    const values = shown.flatMap((name) => found.curves[name].flatMap((point) => [point.accuracy, point.low ?? point.accuracy, point.high ?? point.accuracy]));
    const all = [...values, found.best.accuracy];
    const step = stepFor(Math.max(...all) - Math.min(...all));
    return {
      grid: { left: 34, right: 18, top: 14, bottom: 30, containLabel: true },
      tooltip: Charts.tooltip(colours, { trigger: "item", formatter: describe }),
      xAxis: Charts.axis(colours, {
        type: "value", min: 0, max: 1, interval: 0.2, name: "share the small expert answers", splitLine: { show: false },
        axisLabel: { color: colours.muted, formatter: (value) => `${Math.round(100 * value)} %` },
      }),
      yAxis: Charts.axis(colours, {
        type: "value", ...range(all, step), interval: step, name: "accuracy", nameGap: 46,
        axisLabel: { color: colours.muted, formatter: (value) => write(value, step < 0.01 ? 3 : 2) },
      }),
      series: [
        ...shown.filter((name) => found.curves[name][0].low !== undefined).map((name) => band(found.curves[name], colours[COLOURS[name]])),
        ...shown.map((name) => line(name, colours[COLOURS[name]])),
        best(colours),
      ],
    };
  };

  const routersRows = () => [
    ["router", "k", "small ratio", "accuracy", "low", "high"],
    ...routers.flatMap((name) => found.curves[name].map((point, k) => [name, k, point.small_ratio, point.accuracy, point.low, point.high])),
  ];

  const sweep = found.sweep ?? [];
  const counts = [...new Set(sweep.map((row) => row.bins))].sort((a, b) => a - b);
  const calibrators = [...new Set(sweep.map((row) => row.calibrator))];
  const cellOf = (calibrator, bins) => sweep.find((row) => row.calibrator === calibrator && row.bins === bins)?.apgr;

  /** Upright lines from low to high, a little apart for every calibrator. */
  const whiskers = (calibrator, shift, colour) => ({
    type: "custom", silent: true, z: 2, tooltip: { show: false },
    data: counts.map((bins, place) => [place, cellOf(calibrator, bins)]).filter(([, cell]) => cell?.low !== undefined).map(([place, cell]) => [place, cell.low, cell.high]),
    renderItem: (params, api) => {
      const [x, from] = api.coord([api.value(0), api.value(1)]);
      const [, to] = api.coord([api.value(0), api.value(2)]);
      return { type: "line", shape: { x1: x + shift, y1: from, x2: x + shift, y2: to }, style: { stroke: colour, lineWidth: 3, opacity: 0.35 } };
    },
  });

  const sweepOption = (colours) => {
    const cells = sweep.map((row) => row.apgr).filter((cell) => cell.estimate !== undefined);
    if (!cells.length) {
      return {
        grid: { top: 10 },
        graphic: { type: "text", left: "center", top: "middle", style: { text: "undefined: no gap that the large expert leaves", fill: colours.muted, fontSize: 13 } },
      };
    }
    const palette = [1, 2, 3, 4, 6, 7].map((number) => colours[`chart-${number}`]);
    const values = cells.flatMap((cell) => [cell.low, cell.high]);
    const step = stepFor(Math.max(...values) - Math.min(...values));
    const shiftOf = (place) => (place - (calibrators.length - 1) / 2) * 9;
    return {
      grid: { left: 34, right: 16, top: 56, bottom: 30, containLabel: true },
      legend: Charts.legend(colours, { top: 0, left: 0, data: calibrators }),
      tooltip: Charts.tooltip(colours, {
        formatter: ({ seriesName, data: { cell, bins } }) => `${seriesName}, ${bins} bins\nAPGR ${write(cell.estimate)}  (${write(cell.low)} – ${write(cell.high)})`,
      }),
      xAxis: Charts.axis(colours, { type: "category", name: "bins", data: counts.map(String), axisTick: { show: false } }),
      yAxis: Charts.axis(colours, {
        type: "value", ...range(values, step), interval: step, name: "APGR", nameGap: 44,
        axisLabel: { color: colours.muted, formatter: (value) => write(value, step < 0.01 ? 3 : 2) },
      }),
      series: calibrators.flatMap((calibrator, place) => [
        whiskers(calibrator, shiftOf(place), palette[place]),
        {
          name: calibrator, type: "scatter", symbolSize: 7, z: 3, symbolOffset: [shiftOf(place), 0], itemStyle: { color: palette[place] },
          data: counts.map((bins, at) => ({ bins, at, cell: cellOf(calibrator, bins) })).filter(({ cell }) => cell?.estimate !== undefined)
            .map(({ bins, at, cell }) => ({ value: [at, cell.estimate], cell, bins })),
        },
      ]),
    };
  };

  const sweepRows = () => [
    ["calibrator", "bins", "APGR", "low", "high", "undefined"],
    ...sweep.map(({ calibrator, bins, apgr }) => [calibrator, bins, apgr.estimate, apgr.low, apgr.high, apgr.undefined]),
  ];

  Charts.mount(figureOf("routers"), { option: routersOption, rows: routersRows });
  Charts.mount(figureOf("sweep"), { option: sweepOption, rows: sweepRows });
  boxes.forEach((box) => box.addEventListener("change", () => Charts.redraw(figureOf("routers"))));
})();
