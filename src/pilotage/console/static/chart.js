// Charts as the server renders them: what a figure says in numbers, and how a newer one takes its place.
"use strict";
window.charts = (() => {
  // An unknown number is null, a gap; a series that says nothing at a place is undefined, and its line goes on.
  const number = (text) => (text === undefined ? undefined : text === "" ? null : Number(text));

  // The numbers and words of a figure: of its table and of the marks in its SVG, nothing else.
  function read(figure) {
    const svg = figure.querySelector("svg.chart"), rows = [...figure.querySelectorAll("tbody tr")];
    const lines = [...svg.querySelectorAll("[data-series]")];
    const column = (place) => rows.map((row) => number(row.cells[place + 1].dataset.y));
    const ticks = (axis) => [...svg.querySelectorAll(`[data-tick=${axis}]`)];
    return {
      rows, lines, x: ticks("x"), y: ticks("y"), grid: svg.querySelector(".axis"), limits: [...svg.querySelectorAll(".limit-word")],
      data: [rows.map((row) => Number(row.cells[0].dataset.x)), ...lines.map((_, place) => column(place))],
    };
  }

  const titles = (room) => [...room.querySelectorAll("figcaption")].map((one) => one.textContent).join("\n");

  // The same charts get new numbers in place: a table that somebody reads stays open, a focus where it is.
  function renew(room, fresh) {
    if (titles(room) !== titles(fresh)) room.replaceChildren(...fresh.childNodes);
    else for (const part of ["figure > p", "svg.chart", "tbody"]) {
      const twins = fresh.querySelectorAll(part);
      for (const [place, one] of room.querySelectorAll(part).entries()) one.replaceWith(twins[place]);
    }
    room.hidden = fresh.hidden;
    room.dispatchEvent(new Event("renewed"));
  }

  return Object.freeze({ read, renew });
})();
