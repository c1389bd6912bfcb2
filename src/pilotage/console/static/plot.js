// Charts drawn by uPlot over the SVG they came as, with what it says where the pointer is. On paper, under forced
// colours, with reduced motion and without this file the SVG is what is seen.
"use strict";
(() => {
  const room = document.querySelector("[data-charts]");
  if (!room || !window.uPlot || !window.ResizeObserver) return;
  const plain = ["(forced-colors: active)", "(prefers-reduced-motion: reduce)"].map((one) => matchMedia(one));
  const plots = new Map(); // by the element they are drawn in
  const { at, fill, stroke } = paint;

  function options(plot) {
    const text = getComputedStyle(plot.over.firstChild), span = (name) => () => [at(plot.now[name][0]), at(plot.now[name].at(-1))];
    const axis = (name, more) => ({
      stroke: () => fill(plot.now[name][0]), font: `${text.fontSize} ${text.fontFamily}`, ticks: { show: false },
      splits: () => plot.now[name].map(at), values: () => plot.now[name].map((one) => one.textContent), ...more,
    });
    const series = plot.now.lines.map((line, place) => ({
      stroke: () => stroke(plot.now.lines[place]), width: 2,
      dash: line.getAttribute("stroke-dasharray").split(" ").filter(Boolean).map(Number),
      paths: line.dataset.steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
      points: { show: true, width: 0, fill: () => stroke(plot.now.lines[place]), paths: paint.marks },
    }));
    return {
      ...plot.size(), legend: { show: false }, padding: [20, (u) => paint.widest(u, plot.now.x.map((one) => one.textContent)) / 2, 0, 0], series: [{}, ...series],
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: plot.figure.querySelector("thead th").textContent } },
      scales: { x: { time: false, range: span("x") }, y: { range: span("y") } },
      axes: [axis("x", { size: 28, grid: { show: false } }), axis("y", { size: paint.widest, grid: { stroke: () => stroke(plot.now.grid), width: 1 } })],
      hooks: { draw: [(u) => paint.limits(u, plot.now.limits), () => plot.say()], setCursor: [() => plot.say()] },
    };
  }

  function mount(box, figure) {
    const made = (name, properties) => Object.assign(document.createElement(name), properties);
    const over = made("div", { className: "over", ariaHidden: "true" }); // the SVG's words and the table are read instead
    const plot = { box, figure, over, now: charts.read(figure) };
    const words = over.appendChild(made("p", { className: "small muted" }));
    box.classList.add("drawn");
    box.append(over);
    plot.size = () => ({ width: box.clientWidth, height: box.clientHeight - words.offsetHeight });
    // The words of the table's row where the pointer is, else of its last row.
    plot.say = () => {
      const row = plot.now.rows[plot.u?.cursor.idx ?? plot.now.rows.length - 1];
      const said = plot.now.lines.map((line, place) => `${line.dataset.series} ${row.cells[place + 1].textContent || "-"}`);
      words.textContent = `${row.cells[0].textContent}: ${said.join(", ")}`;
    };
    plot.say();
    plot.u = new uPlot(options(plot), plot.now.data, over);
    plot.resized = new ResizeObserver(() => plot.u.setSize(plot.size()));
    plot.resized.observe(box);
    plots.set(box, plot);
  }

  function unmount(plot) {
    plot.resized.disconnect();
    plot.u.destroy();
    plot.over.remove();
    plot.box.classList.remove("drawn");
    plots.delete(plot.box);
  }

  function renew() {
    for (const plot of plots.values()) if (plain.some((one) => one.matches) || !plot.box.isConnected) unmount(plot);
    if (plain.some((one) => one.matches)) return;
    for (const figure of room.querySelectorAll("figure")) {
      const box = figure.querySelector(".plot"), plot = plots.get(box);
      if (!plot) mount(box, figure);
      else {
        plot.now = charts.read(figure);
        plot.u.setData(plot.now.data);
      }
    }
  }
  room.addEventListener("renewed", renew);
  for (const one of [...plain, matchMedia("(prefers-color-scheme: dark)")]) one.addEventListener("change", renew);
  renew();
})();
