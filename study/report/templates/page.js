"use strict";
// Tables that sort and filter, and graphs in the place of pictures once they come into view.

function value(row, column) {
  const cell = row.cells[column];
  const number = parseFloat(cell.dataset.value ?? cell.textContent.replaceAll(",", ""));
  return Number.isNaN(number) ? cell.textContent.trim() : number;
}

function compare(a, b) {
  if (a === "" || b === "") return (a === "") - (b === "");
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

function sort(head) {
  const table = head.closest("table"), column = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => [value(row, column), row]);
  const empty = (a, b) => a === "" || b === "";
  rows.sort(([a], [b]) => (down && !empty(a, b) ? -1 : 1) * compare(a, b));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

for (const head of document.querySelectorAll("table.sorts thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  button.addEventListener("click", () => sort(head));
  head.append(button);
}

for (const field of document.querySelectorAll("input[data-filters]")) {
  field.hidden = false;
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of document.getElementById(field.dataset.filters).tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
}

const read = (id) => document.getElementById(id).textContent;
const graphs = JSON.parse(read("graph-data"));
const dark = matchMedia("(prefers-color-scheme: dark)");

async function load() {
  const packed = Uint8Array.from(atob(read("graph-library").trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

function theme(layout) {
  const ink = dark.matches ? "#e8e8e8" : "#1b1b1b", grid = dark.matches ? "#3a3d42" : "#e4e4e4";
  const axis = { gridcolor: grid, zeroline: false, linecolor: grid, automargin: true };
  return {
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: ink, family: "system-ui, sans-serif", size: 12 },
    margin: { t: 10, r: 10, l: 50, b: 40 }, hovermode: "closest", dragmode: false,
    legend: { orientation: "h", y: innerWidth < 640 ? -0.3 : -0.18, yanchor: "top" },
    xaxis: { ...layout.xaxis, ...axis, title: { ...layout.xaxis.title, standoff: 6 } }, yaxis: { ...layout.yaxis, ...axis },
  };
}

let library = null;

async function draw(place) {
  const { data, layout } = graphs[place.dataset.graph];
  library ??= load();
  await library;
  place.classList.add("ready");
  await Plotly.react(place, data, theme(layout), {
    responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  });
}

if ("DecompressionStream" in window) {
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      draw(target.querySelector(".live"));
    }
  }, { rootMargin: "400px" });
  for (const place of document.querySelectorAll(".live")) seen.observe(place.parentElement);
  dark.addEventListener("change", () => document.querySelectorAll(".live.ready").forEach(draw));
}

addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
