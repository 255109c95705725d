// Charts drawn as SVG in the page's colours. Every chart can be saved as SVG, PNG and CSV, has a
// description for screen readers, and is drawn anew when the page turns light or dark.
//
//   Charts.mount(figure, { option: (colours) => ({...}), rows: () => [["k", "items"], [1, 20]] })
//
// `figure` is templates/_chart.html: its data-title names the picture, data-filename the files.
const Charts = (() => {
  const mounted = new Set();
  const COLOURS = ["text", "muted", "line", "line-strong", "surface", "accent", "accent-soft", "good", "bad",
    "chart-1", "chart-2", "chart-3", "chart-4", "chart-5",
    "chart-6", "chart-7", "chart-8", "chart-9"];

  /** The tokens of static/css/tokens.css as they stand now, by name. */
  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    return Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  };

  /** A tooltip drawn as SVG: HTML with style attributes is refused by the content security policy. */
  const tooltip = (colours, own) => ({
    renderMode: "richText", confine: true, padding: [6, 10],
    backgroundColor: colours.surface, borderColor: colours.line, textStyle: { color: colours.text, fontSize: 12 },
    ...own,
  });

  /** What every chart has in common; a chart's own option wins. */
  const frame = (colours) => ({
    animation: false,
    // Double quotes in a font's name would end the style attribute in the saved SVG.
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily.replaceAll('"', "'"), color: colours.muted, fontSize: 12 },
    grid: { left: 12, right: 16, top: 12, bottom: 8, containLabel: true },
    tooltip: tooltip(colours),
  });

  /** An axis in the page's colours. */
  const axis = (colours, own) => ({
    nameLocation: "middle", nameGap: 28, nameTextStyle: { color: colours.muted },
    axisLine: { lineStyle: { color: colours["line-strong"] } },
    axisTick: { lineStyle: { color: colours["line-strong"] } },
    axisLabel: { color: colours.muted, hideOverlap: true },
    splitLine: { lineStyle: { color: colours.line } },
    ...own,
  });

  /** A legend of plain marks, placed by the chart. */
  const legend = (colours, own) => ({
    textStyle: { color: colours.text }, itemWidth: 14, itemHeight: 9, itemGap: 16,
    inactiveColor: colours["line-strong"], ...own,
  });

  const buildOption = (figure, where = {}) => {
    const colours = readColours();
    return { ...frame(colours), ...figure.chart.option(colours, where) };
  };

  const toSvg = (figure) => {
    const { width, height } = figure.canvas.getBoundingClientRect();
    const colours = readColours();
    const title = 30;
    const paper = echarts.init(null, null, { renderer: "svg", ssr: true, width, height: height + title });
    const option = buildOption(figure, { onPaper: true });
    const grids = [option.grid].flat().map((grid) => ({ ...grid, top: (grid.top ?? 0) + title }));
    paper.setOption({
      ...option,
      grid: grids.length === 1 ? grids[0] : grids,
      backgroundColor: colours.surface,
      title: { text: figure.dataset.title, left: 10, top: 8, textStyle: { color: colours.text, fontSize: 14 } },
    });
    const svg = paper.renderToSVGString();
    paper.dispose();
    return { svg, width, height: height + title };
  };

  const download = (blob, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  const saveSvg = (figure) => {
    download(new Blob([toSvg(figure).svg], { type: "image/svg+xml" }), `${figure.dataset.filename}.svg`);
  };

  const savePng = async (figure) => {
    const { svg, width, height } = toSvg(figure);
    const picture = new Image();
    picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
    await picture.decode();
    const canvas = document.createElement("canvas");
    const sharpness = 2;
    canvas.width = width * sharpness;
    canvas.height = height * sharpness;
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => download(blob, `${figure.dataset.filename}.png`), "image/png");
  };

  /** Text that a spreadsheet would run as a formula is stored as text. */
  const writeCell = (value) => {
    if (typeof value === "number") return String(value);
    const text = value === null || value === undefined ? "" : String(value);
    const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };

  const saveCsv = (figure) => {
    const text = figure.chart.rows().map((row) => row.map(writeCell).join(",")).join("\r\n");
    download(new Blob([`${text}\r\n`], { type: "text/csv" }), `${figure.dataset.filename}.csv`);
  };

  const addButtons = (figure) => {
    const tools = figure.querySelector(".chart-tools");
    for (const [label, save] of [["PNG", savePng], ["SVG", saveSvg], ["CSV", saveCsv]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "chart-save";
      button.textContent = label;
      button.setAttribute("aria-label", `Save “${figure.dataset.title}” as ${label}`);
      button.addEventListener("click", () => save(figure));
      tools.append(button);
    }
  };

  const redraw = (figure) => figure.instance.setOption(buildOption(figure), { notMerge: true });

  /** Draw a chart into a figure; returns its ECharts instance. */
  const mount = (figure, chart) => {
    figure.chart = chart;
    figure.canvas = figure.querySelector(".chart-canvas");
    figure.instance = echarts.init(figure.canvas, null, { renderer: "svg" });
    addButtons(figure);
    redraw(figure);
    new ResizeObserver(() => figure.instance.resize()).observe(figure.canvas);
    mounted.add(figure);
    return figure.instance;
  };

  document.addEventListener("theme-change", () => mounted.forEach(redraw));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => mounted.forEach(redraw));

  return { mount, redraw, axis, legend, tooltip };
})();
