// Precision against detection rate: one line and band per method, a dashed marker at the chosen
// k, and the panel that says what that k means.
(() => {
  const source = document.getElementById("curves-data");
  if (!source) return;
  const report = JSON.parse(source.textContent);
  const names = JSON.parse(document.getElementById("curves-names").textContent);
  const methods = Object.keys(report.methods);
  const BINNED = "calibrated_ensemble";
  const COLOURS = [1, 3, 2, 4, 6, 7, 8, 9, 5].map((number) => `chart-${number}`);
  const colourOf = (method, colours) => colours[COLOURS[methods.indexOf(method)] ?? "chart-5"];
  const slider = document.getElementById("k");
  const queue = document.querySelector(".curves").dataset.queue;
  const boxes = [...document.querySelectorAll("[data-method]")];
  const figures = (kind) => document.querySelector(`[data-chart="${kind}"]`);

  const share = (value, digits = 2) => {
    if (value === null || value === undefined) return "–";
    return value.toFixed(digits).replace(/^0(?=\.)/, "");
  };
  const interval = ({ estimate, low, high, census }, digits = 2) => {
    if (estimate === null) return "–";
    return census ? "all judged" : `${share(low, digits)} – ${share(high, digits)}`;
  };
  const count = (value) => value.toLocaleString("en-US");
  const isDrawn = (point) => point.precision.estimate !== null && point.detection_rate.estimate !== null;
  const drawn = (method) => report.methods[method].points.filter(isDrawn);
  const setName = (point) => (point.k ? `k = ${point.k}` : `first ${count(point.n)}`);
  const chosenK = () => (slider ? Number(slider.value) : 0);
  const chosenPoint = () => report.methods[BINNED]?.points.find((point) => point.k === chosenK());

  /** The area between the limits that hold for the whole curve at once, along the line. */
  const band = (method, colour) => {
    const points = drawn(method);
    const limit = (point, side) => [point.detection_rate.estimate, (point.band ?? point.precision)[side]];
    const edge = [
      ...points.map((point) => limit(point, "high")),
      ...points.map((point) => limit(point, "low")).reverse(),
    ];
    return {
      type: "custom", silent: true, z: 1, data: [[0, 0]], tooltip: { show: false }, clip: true,
      renderItem: (params, api) => ({ type: "polygon", shape: { points: edge.map((place) => api.coord(place)) }, style: { fill: colour, opacity: 0.14 } }),
    };
  };

  /** How far each point moves if all that people are unsure of is an error, or if none of it is. */
  const unsureBounds = (method, colour) => ({
    type: "custom", silent: true, z: 2, tooltip: { show: false },
    data: drawn(method).filter((point) => point.precision.if_unsure_are).map((point) => {
      const rate = point.detection_rate;
      const [left, right] = rate.if_unsure_are ? [rate.if_unsure_are.errors_outside, rate.if_unsure_are.errors_inside] : [rate.estimate, rate.estimate];
      const { correct, errors } = point.precision.if_unsure_are;
      return [rate.estimate, point.precision.estimate, left ?? rate.estimate, right ?? rate.estimate, correct ?? point.precision.estimate, errors ?? point.precision.estimate];
    }),
    renderItem: (params, api) => {
      const [x, y] = api.coord([api.value(0), api.value(1)]);
      const style = { stroke: colour, lineWidth: 1, lineDash: [3, 3], opacity: 0.5 };
      const across = [api.coord([api.value(2), api.value(1)])[0], api.coord([api.value(3), api.value(1)])[0]];
      const up = [api.coord([api.value(0), api.value(4)])[1], api.coord([api.value(0), api.value(5)])[1]];
      return {
        type: "group",
        children: [
          { type: "line", shape: { x1: across[0], y1: y, x2: across[1], y2: y }, style },
          { type: "line", shape: { x1: x, y1: up[0], x2: x, y2: up[1] }, style },
        ],
      };
    },
  });

  const line = (method, colour, colours, isNarrow) => ({
    id: `line:${method}`, name: names[method], type: "line", z: 3, symbol: "circle",
    symbolSize: (value) => (method === BINNED && value[2] === chosenK() ? 12 : 6),
    data: drawn(method).map((point) => ({
      value: [point.detection_rate.estimate, point.precision.estimate, point.k ?? point.n],
      point,
    })),
    lineStyle: { color: colour, width: 2.5 }, itemStyle: { color: colour },
    endLabel: { show: !isNarrow, formatter: names[method], color: colour, fontSize: 13, distance: 8 },
    labelLayout: { moveOverlap: "shiftY" },
    ...(method === BINNED && chosenPoint() && isDrawn(chosenPoint()) ? { markLine: marker(colours) } : {}),
  });

  const marker = (colours) => ({
    silent: true, symbol: "none", animation: false,
    lineStyle: { color: colours.accent, type: "dashed", width: 1.5 },
    label: { formatter: `k = ${chosenK()}`, position: "insideStartTop", rotate: 0, color: colours.accent, fontSize: 13, distance: [6, 6] },
    data: [{ xAxis: chosenPoint().detection_rate.estimate }],
  });

  const describe = ({ seriesName, data: { point } }) => [
    `${seriesName}, ${setName(point)}: ${count(point.flagged)} items`,
    `precision ${share(point.precision.estimate, 3)}  (${interval(point.precision, 3)})`,
    `detection ${share(point.detection_rate.estimate, 3)}  (${interval(point.detection_rate, 3)})`,
    `judged ${count(point.judged)}, label errors ${count(point.errors)}`,
  ].join("\n");

  const lowest = (values) => Math.max(0, Math.min(0.8, Math.floor(Math.min(...values) * 5) / 5));

  const shownMethods = () => boxes.filter((box) => box.checked).map((box) => box.dataset.method).filter((method) => drawn(method).length);

  const curvesOption = (colours, { onPaper = false } = {}) => {
    const shown = shownMethods();
    // Names at the lines' ends would lie on each other; the legend names them too.
    const isNarrow = figures("curves").clientWidth < 560 || shown.length > 4;
    const bottom = lowest([1, ...shown.flatMap((method) => drawn(method).map((point) => (point.band ?? point.precision).low))]);
    return {
      grid: { left: 30, right: isNarrow ? 12 : 150, top: 12, bottom: 30 + (onPaper && isNarrow ? 22 * Math.ceil(shown.length / 3) : 0), containLabel: true },
      // On the page the names stand in the form below the chart; a saved picture needs them inside.
      ...(onPaper && isNarrow ? { legend: Charts.legend(colours, { data: shown.map((method) => names[method]), bottom: 4, left: 30, right: 12 }) } : {}),
      tooltip: Charts.tooltip(colours, { trigger: "item", formatter: describe }),
      xAxis: Charts.axis(colours, {
        type: "value", min: 0, max: 1, interval: 0.2, name: `${report.kind === "relative" ? "relative " : ""}detection rate`,
        axisLabel: { color: colours.muted, formatter: (value) => value.toFixed(1) }, splitLine: { show: false },
      }),
      yAxis: Charts.axis(colours, {
        type: "value", min: bottom, max: 1, interval: bottom < 0.6 ? 0.2 : 0.1, name: "precision", nameGap: 36,
        axisLabel: { color: colours.muted, formatter: (value) => value.toFixed(1) },
      }),
      series: [
        ...shown.map((method) => band(method, colourOf(method, colours))),
        ...shown.map((method) => unsureBounds(method, colourOf(method, colours))),
        ...shown.map((method) => line(method, colourOf(method, colours), colours, isNarrow)),
      ],
    };
  };

  const RATE = ["estimate", "low", "high"];
  const curvesRows = () => [
    ["method", "set", "flagged", "judged", "errors", "precision", "precision low", "precision high", "detection rate", "detection low", "detection high", "kind"],
    ...methods.flatMap((method) => report.methods[method].points.map((point) => [
      method, setName(point), point.flagged, point.judged, point.errors,
      ...RATE.map((part) => point.precision[part]), ...RATE.map((part) => point.detection_rate[part]), report.kind,
    ])),
  ];

  const bins = report.methods[BINNED]?.bins ?? [];

  /** An upright line from the low to the high limit of each bin. */
  const whiskers = (colour) => ({
    type: "custom", silent: true, z: 2, tooltip: { show: false },
    data: bins.map(({ precision }, place) => [place, precision.low, precision.high]).filter((_, place) => bins[place].precision.estimate !== null),
    renderItem: (params, api) => {
      const [x, from] = api.coord([api.value(0), api.value(1)]);
      const [, to] = api.coord([api.value(0), api.value(2)]);
      return { type: "line", shape: { x1: x, y1: from, x2: x, y2: to }, style: { stroke: colour, lineWidth: 6, opacity: 0.25 } };
    },
  });

  const binsOption = (colours) => ({
    grid: { left: 30, right: 16, top: 12, bottom: 28, containLabel: true },
    tooltip: Charts.tooltip(colours, {
      formatter: ({ dataIndex }) => {
        const bin = bins[dataIndex];
        return `bin ${bin.bin}: ${share(bin.precision.estimate, 3)}  (${interval(bin.precision, 3)})\n${count(bin.errors)} errors in ${count(bin.judged)} judged, ${count(bin.flagged)} items`;
      },
    }),
    xAxis: Charts.axis(colours, { type: "category", name: "bin", data: bins.map(({ bin }) => bin), axisTick: { show: false } }),
    yAxis: Charts.axis(colours, { type: "value", min: 0, max: 1, interval: 0.5, name: "precision", nameGap: 36, axisLabel: { color: colours.muted, formatter: (value) => value.toFixed(1) } }),
    series: [
      whiskers(colours["chart-1"]),
      {
        type: "scatter", symbolSize: 9, z: 3,
        data: bins.map(({ bin, precision }) => ({ value: precision.estimate ?? "-", itemStyle: { color: bin <= chosenK() ? colours["chart-1"] : colours["line-strong"] } })),
      },
    ],
  });

  const binsRows = () => [
    ["bin", "flagged", "judged", "errors", "precision", "low", "high"],
    ...bins.map((bin) => [bin.bin, bin.flagged, bin.judged, bin.errors, ...RATE.map((part) => bin.precision[part])]),
  ];

  const showK = () => {
    const point = chosenPoint();
    if (!point) return;
    const panel = document.getElementById("at-k");
    const write = (part, text) => { panel.querySelector(`[data-at="${part}"]`).textContent = text; };
    write("k", point.k);
    write("flagged", count(point.flagged));
    write("precision", share(point.precision.estimate));
    write("precision-interval", interval(point.precision));
    write("detection", share(point.detection_rate.estimate));
    write("detection-interval", interval(point.detection_rate));
    if (report.judge) {
      write("judge-alone", share(point.precision.judge_only));
      write("people-alone", share(point.precision.people_only?.estimate ?? null));
    }
    write("judged", count(point.judged));
    write("errors", count(point.errors));
    document.getElementById("k-of").textContent = `${point.k} of ${slider.max}`;
    const link = panel.querySelector('[data-at="link"]');
    link.href = `${queue}?method=${BINNED}&k=${point.k}`;
    if (figures("curves").instance) Charts.redraw(figures("curves"));
    if (figures("bins")?.instance) Charts.redraw(figures("bins"));
  };

  const chart = Charts.mount(figures("curves"), { option: curvesOption, rows: curvesRows });
  CurvePoints.follow(chart, figures("curves"), {
    lines: () => shownMethods().map((method) => ({ method, points: drawn(method) })),
    tell: (method, point) => describe({ seriesName: names[method], data: { point } }),
    address: (method, point) => `${queue}?method=${encodeURIComponent(method)}&${point.k ? `k=${point.k}` : `n=${point.n}`}`,
  });
  if (figures("bins")) {
    const binChart = Charts.mount(figures("bins"), { option: binsOption, rows: binsRows });
    binChart.on("click", ({ dataIndex }) => location.assign(`${queue}?method=${BINNED}&bin=${bins[dataIndex].bin}`));
  }
  boxes.forEach((box) => box.addEventListener("change", () => Charts.redraw(figures("curves"))));
  slider?.addEventListener("input", showK);
  // Names move from the lines' ends to the legend where the chart gets narrow.
  new ResizeObserver(() => Charts.redraw(figures("curves"))).observe(figures("curves"));
  showK();
})();
