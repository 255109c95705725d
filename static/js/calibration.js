// Reliability diagrams and confidence histograms, one card per expert.
(() => {
  const NOTHING = { count: [], confidence: [], accuracy: [] };
  const MOMENTS = ["before", "after"];
  const write = (value) => value.toFixed(3).replace(/^0/, "");

  /** Points of one table: [confidence, accuracy, count, bin]. */
  const points = (table) => table.confidence.map((confidence, bin) => [confidence, table.accuracy[bin], table.count[bin], bin]);

  /** Where both axes of an expert's diagrams start: just under the lowest point of either half. */
  const lowest = (tables) => {
    const least = Math.min(1, ...tables.flatMap((table) => [...table.confidence, ...table.accuracy]));
    return least < 0.6 ? Math.floor(least * 5) / 5 : Math.min(0.9, Math.floor(least * 10) / 10);
  };

  /** A short upright line from each point to the diagonal: the gap that calibration closes. */
  const gaps = (data, colour, width) => ({
    type: "custom", data, silent: true, z: 1, tooltip: { show: false },
    renderItem: (params, api) => {
      const [x, from] = api.coord([api.value(0), api.value(1)]);
      const [, to] = api.coord([api.value(0), api.value(0)]);
      return { type: "line", shape: { x1: x, y1: from, x2: x, y2: to }, style: { stroke: colour, lineWidth: width, opacity: 0.45 } };
    },
  });

  const reliability = (tables, from) => (colours) => {
    const style = {
      before: { colour: colours["chart-2"], symbol: "diamond", size: 9 },
      after: { colour: colours["chart-1"], symbol: "circle", size: 8 },
    };
    const shown = MOMENTS.filter((moment) => tables[moment].count.length);
    const scale = { type: "value", min: from, max: 1, interval: from < 0.6 ? 0.2 : 0.1 };
    const label = { color: colours.muted, formatter: (value) => value.toFixed(1) };
    return {
      grid: { left: 26, right: 14, top: 34, bottom: 26, containLabel: true },
      legend: Charts.legend(colours, { top: 0, left: 0, data: shown }),
      tooltip: Charts.tooltip(colours, {
        formatter: ({ seriesName, value }) =>
          `${seriesName}, bin ${value[3]}: ${value[2]} items\nconfidence ${write(value[0])}\naccuracy ${write(value[1])}`,
      }),
      xAxis: Charts.axis(colours, { ...scale, name: "confidence", axisLabel: label, splitLine: { show: false } }),
      yAxis: Charts.axis(colours, { ...scale, name: "accuracy", nameGap: 34, axisLabel: label }),
      series: [
        {
          type: "line", data: [[from, from], [1, 1]], symbol: "none", silent: true, z: 0, tooltip: { show: false },
          lineStyle: { color: colours["line-strong"], type: "dashed", width: 1 },
        },
        ...shown.map((moment) => gaps(points(tables[moment]), style[moment].colour, 3)),
        ...shown.map((moment) => ({
          name: moment, type: "scatter", data: points(tables[moment]), z: 3,
          symbol: style[moment].symbol, symbolSize: style[moment].size, itemStyle: { color: style[moment].colour },
        })),
      ],
    };
  };

  const histogram = ({ edges, before, after }, isFitted) => (colours) => {
    const total = Math.max(1, before.reduce((sum, count) => sum + count, 0));
    const share = (counts) => counts.map((count) => count / total);
    const colour = { before: colours["chart-2"], after: colours["chart-1"] };
    const shown = isFitted ? MOMENTS : ["before"];
    const counts = { before, after };
    return {
      grid: { left: 14, right: 14, top: 34, bottom: 26, containLabel: true },
      legend: Charts.legend(colours, { top: 0, left: 0, data: shown }),
      tooltip: Charts.tooltip(colours, {
        formatter: ({ seriesName, dataIndex }) =>
          `${seriesName}, ${write(edges[dataIndex])} to ${write(edges[dataIndex + 1])}: ${counts[seriesName][dataIndex]} items`,
      }),
      xAxis: Charts.axis(colours, {
        type: "category", name: "confidence", data: before.map((_, bin) => edges[bin].toFixed(1)),
        axisLabel: { color: colours.muted, interval: (bin) => bin % 4 === 0 }, axisTick: { show: false },
      }),
      yAxis: Charts.axis(colours, { type: "value", axisLabel: { color: colours.muted, formatter: (value) => `${Math.round(value * 100)} %` } }),
      series: shown.map((moment) => ({
        name: moment, type: "bar", data: share(counts[moment]), barGap: "0%", barCategoryGap: "18%", itemStyle: { color: colour[moment] },
      })),
    };
  };

  const drawExpert = (card) => {
    const { reliability: tables, histogram: counts } = JSON.parse(document.getElementById(card.dataset.source).textContent);
    const from = lowest(Object.values(tables));
    for (const figure of card.querySelectorAll('[data-chart="reliability"]')) {
      const half = figure.dataset.part;
      const own = Object.fromEntries(MOMENTS.map((moment) => [moment, tables[`${half}_${moment}`] ?? NOTHING]));
      Charts.mount(figure, {
        option: reliability(own, from),
        rows: () => [
          ["moment", "bin", "items", "confidence", "accuracy"],
          ...MOMENTS.flatMap((moment) => points(own[moment]).map(([confidence, accuracy, count, bin]) => [moment, bin, count, confidence, accuracy])),
        ],
      });
    }
    const figure = card.querySelector('[data-chart="histogram"]');
    if (!counts.edges) return figure.remove();
    Charts.mount(figure, {
      option: histogram(counts, Boolean(tables.a_after)),
      rows: () => [["from", "to", "before", "after"], ...counts.before.map((count, bin) => [counts.edges[bin], counts.edges[bin + 1], count, counts.after[bin]])],
    });
  };

  /** One small diagram per calibrator, all of the held-out half and on the same axes. */
  const drawBench = (card) => {
    const byCalibrator = JSON.parse(document.getElementById(card.dataset.source).textContent);
    const own = (name) => Object.fromEntries(MOMENTS.map((moment) => [moment, byCalibrator[name][`b_${moment}`] ?? NOTHING]));
    const from = lowest(Object.keys(byCalibrator).flatMap((name) => Object.values(own(name))));
    for (const figure of card.querySelectorAll('[data-chart="bench"]')) {
      const tables = own(figure.dataset.part);
      Charts.mount(figure, {
        option: reliability(tables, from),
        rows: () => [
          ["moment", "bin", "items", "confidence", "accuracy"],
          ...MOMENTS.flatMap((moment) => points(tables[moment]).map(([confidence, accuracy, count, bin]) => [moment, bin, count, confidence, accuracy])),
        ],
      });
    }
  };

  document.querySelectorAll(".calibration").forEach(drawExpert);
  document.querySelectorAll(".bench").forEach(drawBench);
})();
