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
const graphs = JSON.parse(read("graph-data")), onDark = JSON.parse(read("palette"));
const dark = matchMedia("(prefers-color-scheme: dark)");
const LINE = 13, TOP = 26, BOTTOM = 44; // heights in pixels: of a label, and beside the axes
const off = new Set(); // the variants that the legend has switched off

async function load() {
  const packed = Uint8Array.from(atob(read("graph-library").trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

// The same with lighter colours on a dark page.
function paint(value) {
  if (!dark.matches) return value;
  if (typeof value === "string") return onDark[value] ?? value;
  if (Array.isArray(value)) return value.map(paint);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, paint(each)]));
}

// Heights in their order, `gap` apart and near their own, within 0 to `height`.
function spread(heights, gap, height) {
  const order = heights.map((_, i) => i).sort((a, b) => heights[a] - heights[b] || a - b);
  const moved = heights.map((y) => Math.min(Math.max(y, gap / 2), height - gap / 2));
  for (let i = 1; i < order.length; i++) moved[order[i]] = Math.max(moved[order[i]], moved[order[i - 1]] + gap);
  let ceiling = height - gap / 2;
  for (const i of order.toReversed()) {
    moved[i] = Math.min(moved[i], ceiling);
    ceiling = moved[i] - gap;
  }
  return moved;
}

// Labels right of their points, so that none covers another.
function annotate(labels, [low, high], height, narrow) {
  const inside = (y) => Math.min(Math.max(y, low + 1e-4 * (high - low)), high - 1e-4 * (high - low));
  const gap = Math.min(LINE, height / Math.max(labels.length, 1));
  const known = labels.filter((label) => label.y !== null);
  const heights = known.map((label) => (height * (inside(label.y) - low)) / (high - low));
  const moved = spread(heights, gap, height);
  return known.map((label, i) => ({
    x: label.x, y: inside(label.y), text: narrow ? label.short : label.text, xanchor: "left", align: "left",
    ax: 14, ay: heights[i] - moved[i], showarrow: true, arrowhead: 0, arrowwidth: 0.7, standoff: 6,
    arrowcolor: label.color, font: { color: label.color, size: Math.min(11, gap - 1) }, borderpad: 0,
  }));
}

function theme(layout, right, legend) {
  const ink = dark.matches ? "#e8e8e8" : "#1b1b1b", grid = dark.matches ? "#3a3d42" : "#e4e4e4";
  const axis = { gridcolor: grid, zeroline: false, linecolor: grid };
  return {
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: ink, family: "system-ui, sans-serif", size: 12 },
    margin: { t: legend ? 48 : TOP, r: right, l: 50, b: BOTTOM }, hovermode: "closest", dragmode: false,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: "#888", activecolor: ink },
    showlegend: legend, legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
    xaxis: { ...layout.xaxis, ...axis, automargin: !right, title: { ...layout.xaxis.title, standoff: 6 } },
    yaxis: { ...layout.yaxis, ...axis, automargin: true },
  };
}

const isNarrow = (place) => place.clientWidth < 480;

let library = null;

async function draw(place) {
  const { data, layout, labels, toggles } = graphs[place.dataset.graph];
  library ??= load();
  await library;
  place.classList.add("ready");
  const visible = ({ name }) => !toggles || !off.has(name);
  const narrow = (place.narrow = isNarrow(place)), shown = labels.filter(visible);
  const least = parseFloat(getComputedStyle(document.documentElement).fontSize) * 19;
  const height = Math.max(least, labels.length * LINE + TOP + BOTTOM);
  place.style.height = `${height}px`;
  const longest = Math.max(0, ...labels.map((label) => (narrow ? label.short : label.text).length));
  const right = longest ? 22 + 6.2 * longest : 10;
  const beside = annotate(shown, layout.yaxis.range, height - TOP - BOTTOM, narrow);
  const words = { ...layout, annotations: [...(layout.annotations ?? []), ...beside] };
  const traces = data.map((trace) => ({ ...trace, visible: visible(trace) }));
  await Plotly.react(place, paint(traces), theme(paint(words), right, Boolean(layout.showlegend)), {
    responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  });
}

const drawAll = () => document.querySelectorAll(".live.ready").forEach(draw);

// A click in a legend switches a variant off or on in all graphs, two clicks all others.
const buttons = [...document.querySelectorAll(".legend button")];
const variants = new Set(buttons.map((button) => button.dataset.variant));

function show() {
  for (const button of buttons) button.setAttribute("aria-pressed", String(!off.has(button.dataset.variant)));
  drawAll();
}

for (const button of buttons) {
  const name = button.dataset.variant;
  button.addEventListener("click", ({ detail }) => {
    if (detail === 2) return;
    if (!off.delete(name)) off.add(name);
    show();
  });
  button.addEventListener("dblclick", () => {
    const others = [...variants].filter((other) => other !== name);
    const alone = others.every((other) => off.has(other));
    off.clear();
    if (!alone) others.forEach((other) => off.add(other));
    show();
  });
}

if ("DecompressionStream" in window) {
  for (const legend of document.querySelectorAll(".legend")) legend.hidden = false;
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      draw(target.querySelector(".live"));
    }
  }, { rootMargin: "400px" });
  for (const place of document.querySelectorAll(".live")) seen.observe(place.parentElement);
  dark.addEventListener("change", drawAll);
  addEventListener("resize", () => { // plotly fits the graphs; their labels are shorter where narrow
    for (const place of document.querySelectorAll(".live.ready")) {
      if (isNarrow(place) !== place.narrow) draw(place);
    }
  });
}

// A link to a folded section opens it.
for (const link of document.querySelectorAll("nav a")) {
  link.addEventListener("click", () => {
    const folded = document.querySelector(link.getAttribute("href")).closest("details");
    if (folded) folded.open = true;
  });
}

addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
