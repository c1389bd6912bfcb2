// What uPlot is given to draw a chart as charts/plot.py draws it: marks that differ in shape, limits with their words.
"use strict";
window.paint = (() => {
  const MARKED = 40; // as charts/lines.py
  const at = (node) => Number(node.dataset.at);
  const stroke = (node) => getComputedStyle(node).stroke, fill = (node) => getComputedStyle(node).fill;

  // Each point is marked while they can be told apart, a lone one always: circles, squares for the second series.
  function marks(u, series, from, to) {
    const path = new Path2D(), xs = u.data[0], ys = u.data[series], r = 3 * devicePixelRatio;
    const few = ys.filter((y) => y != null).length <= MARKED;
    for (let k = from; k <= to; k++) {
      if (ys[k] == null || !(few || (ys[k - 1] == null && ys[k + 1] == null))) continue;
      const x = u.valToPos(xs[k], "x", true), y = u.valToPos(ys[k], "y", true);
      if (series % 2) path.addPath(new Path2D(`M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`));
      else path.rect(x - r, y - r, 2 * r, 2 * r);
    }
    return { fill: path };
  }

  function limits(u, words) {
    const { ctx, bbox } = u, unit = devicePixelRatio; // uPlot sets all it needs of a context itself
    Object.assign(ctx, { font: u.axes[0].font[0], lineWidth: unit, textBaseline: "bottom" }).setLineDash([2 * unit, 3 * unit]);
    for (const word of words) {
      const y = u.valToPos(at(word), "y", true), atStart = word.getAttribute("text-anchor") === "start";
      ctx.strokeStyle = ctx.fillStyle = fill(word);
      ctx.stroke(new Path2D(`M${bbox.left} ${y}h${bbox.width}`));
      ctx.textAlign = atStart ? "left" : "right";
      ctx.fillText(word.textContent, bbox.left + (atStart ? 4 * unit : bbox.width), y - 2 * unit);
    }
    ctx.setLineDash([]);
  }

  function widest(u, words) {
    u.ctx.font = u.axes[1].font[0];
    return 8 + 2 * Math.ceil(Math.max(0, ...(words ?? []).map((one) => u.ctx.measureText(one).width)) / devicePixelRatio / 2);
  }

  return Object.freeze({ at, fill, stroke, marks, limits, widest });
})();
