// The points of curves lead to their items: by a click, or by arrow keys and Enter. Left and right
// go along a line, up and down to the next line; what a point says is told as text as well.
const CurvePoints = (() => {
  const follow = (chart, figure, { lines, tell, address }) => {
    const told = document.getElementById("point-told");
    let row = 0;
    let place = -1;

    const chosen = () => {
      const shown = lines();
      const line = shown[Math.min(row, shown.length - 1)];
      return line ? { ...line, point: line.points[Math.min(place, line.points.length - 1)] } : {};
    };

    const show = () => {
      const { method, points, point } = chosen();
      if (!point) return;
      chart.dispatchAction({ type: "downplay" });
      const at = { seriesId: `line:${method}`, dataIndex: points.indexOf(point) };
      chart.dispatchAction({ type: "highlight", ...at });
      chart.dispatchAction({ type: "showTip", ...at });
      told.textContent = `${tell(method, point).replaceAll("\n", "; ")}. Enter opens these items.`;
    };

    const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const move = ([down, right]) => {
      const shown = lines();
      if (!shown.length) return;
      row = (Math.min(row, shown.length - 1) + down + shown.length) % shown.length;
      const last = shown[row].points.length - 1;
      place = Math.max(0, Math.min(last, place + right));
      show();
    };

    const canvas = figure.querySelector(".chart-canvas");
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "group");
    canvas.setAttribute("aria-describedby", told.id);
    canvas.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      if (MOVES[event.key]) move(MOVES[event.key]);
      else if (event.key === "Enter" && chosen().point) location.assign(address(chosen().method, chosen().point));
      else return;
      event.preventDefault();
    });
    canvas.addEventListener("blur", () => {
      chart.dispatchAction({ type: "downplay" });
      chart.dispatchAction({ type: "hideTip" });
    });
    chart.on("click", ({ seriesId, data }) => {
      if (data?.point) location.assign(address(seriesId.slice("line:".length), data.point));
    });
  };

  return { follow };
})();
