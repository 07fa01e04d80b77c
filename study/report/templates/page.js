"use strict";
// Tables that sort and filter, and graphs in the place of pictures once they come into view.

function value(row, column) {
  const text = row.cells[column].textContent.trim(), number = parseFloat(text.replaceAll(",", ""));
  return Number.isNaN(number) ? text : number;
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

// A filter of a table is one of the graphs too: of the variants that have a row left in each table.
const filtered = new Set();
const filters = [...document.querySelectorAll("input[data-filters]")];

function filterVariants() {
  filtered.clear();
  for (const field of filters) {
    const rows = [...document.getElementById(field.dataset.filters).tBodies[0].rows];
    const kept = new Set(rows.filter((row) => !row.hidden).map((row) => row.cells[0].textContent));
    for (const row of rows) if (!kept.has(row.cells[0].textContent)) filtered.add(row.cells[0].textContent);
  }
}

let waiting = null;

for (const field of filters) {
  field.hidden = false;
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of document.getElementById(field.dataset.filters).tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    filterVariants();
    clearTimeout(waiting);
    waiting = setTimeout(show, 150);
  });
}

const read = (id) => document.getElementById(id).textContent;
const graphs = JSON.parse(read("graph-data")), onDark = JSON.parse(read("palette"));
const groupings = JSON.parse(read("groupings"));
const PLAIN = { color: "#A6A6A6", dash: "solid", symbol: "circle" }; // where the setting has no effect
const dark = matchMedia("(prefers-color-scheme: dark)");
const LINE = 13, TOP = 26, BOTTOM = 44; // heights in pixels: of a label, and beside the axes
const off = new Set(); // the variants that the legend has switched off
const isShown = (variant) => !off.has(variant) && !filtered.has(variant);

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
  const at = (y) => (height * (y - low)) / (high - low), heights = known.map((label) => at(inside(label.y)));
  const moved = spread(known.map((label) => at(label.y)), gap, height); // in the order of the values, also beyond the axis
  return known.map((label, i) => ({
    x: label.x, y: inside(label.y), text: narrow ? label.short : label.text, xanchor: "left", align: "left",
    ax: 14, ay: heights[i] - moved[i], showarrow: true, arrowhead: 0, arrowwidth: 0.7, standoff: 6,
    arrowcolor: label.color, font: { color: label.color, size: Math.min(11, gap - 1) }, borderpad: 0,
  }));
}

function theme(layout, right, legend) { // the height of its legend, between the tool bar and the axes
  const ink = dark.matches ? "#e8e8e8" : "#1b1b1b", grid = dark.matches ? "#3a3d42" : "#e4e4e4";
  const axis = { gridcolor: grid, zeroline: false, linecolor: grid };
  return {
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: ink, family: "system-ui, sans-serif", size: 12 },
    margin: { t: TOP + legend, r: right, l: 50, b: BOTTOM }, hovermode: "closest", dragmode: false,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: "#888", activecolor: ink },
    showlegend: Boolean(layout.showlegend),
    legend: { orientation: "h", y: 1, yanchor: "bottom", tracegroupgap: 0, maxheight: 1 },
    xaxis: { ...layout.xaxis, ...axis, automargin: true, autotickangles: [0, -40, -90],
      title: { ...layout.xaxis.title, standoff: 6 } },
    yaxis: { ...layout.yaxis, ...axis, automargin: true },
  };
}

const isNarrow = (place) => place.clientWidth < 480;

// What the options beside the graphs of a place ask for.
function optionsOf(place) {
  const comparison = place.closest(".comparison"), fields = comparison.querySelector(".options")?.elements;
  if (!fields) return { grouping: null, together: false, most: 0, x: false, y: false };
  const grouping = groupings[comparison.dataset.comparison][fields.by.value || -1] ?? null;
  return {
    grouping, together: grouping !== null && fields.together.checked,
    most: Number(fields.smooth.value), x: fields.x.checked, y: fields.y.checked,
  };
}

const lookOf = (grouping, variant) => grouping.looks[grouping.of[variant]] ?? PLAIN;

// The same in another colour; dashes and markers stay, which tell its variants apart.
function recolour(trace, color) {
  const painted = { ...trace };
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  for (const part of ["line", "marker", "error_y"]) {
    if (trace[part]?.color) painted[part] = { ...trace[part], color };
  }
  if (trace.fillcolor) painted.fillcolor = trace.fillcolor.replace(/\(\d+,\d+,\d+/, `(${red},${green},${blue}`);
  return painted;
}

// Each value becomes the median of so many on either side, fewer near an end or a gap: a line then ends where it did,
// and is not drawn out of the graph by its first values, as a mean would be.
function smoothed(values, most) {
  const isThere = (i) => typeof values[i] === "number";
  return values.map((value, i) => {
    if (value === null) return null;
    let beside = 0;
    while (beside < most && isThere(i - beside - 1) && isThere(i + beside + 1)) beside++;
    return values.slice(i - beside, i + beside + 1).sort((a, b) => a - b)[beside];
  });
}

// A line, a seed's or a band's edge smoothed; a mean tells both values under the pointer.
function smooth(trace, most, digits) {
  if (!trace.mode.includes("lines")) return trace;
  const y = smoothed(trace.y, most);
  if (!Array.isArray(trace.hovertemplate)) return { ...trace, y };
  const told = (words, i) => words.replace("<extra>", `<br>smoothed: ${y[i]?.toFixed(digits)}<extra>`);
  return { ...trace, y, hovertemplate: trace.hovertemplate.map(told) };
}

// The mean line of each group of variants, of each number of epochs by itself, before the variants' thin ones.
function joinGroups(data, labels, grouping, digits) {
  const means = data.filter((trace) => trace.meta === "mean"), groups = new Map();
  for (const trace of means) {
    const key = `${grouping.of[trace.name] ?? -1} ${trace.x.length}`;
    groups.set(key, [...(groups.get(key) ?? []), trace]);
  }
  const behind = means.map((trace) => ({
    ...trace, mode: "lines", opacity: 0.45, hoverinfo: "skip", line: { color: lookOf(grouping, trace.name).color, width: 0.8 },
  }));
  const lines = [], beside = [], last = Math.max(...means.map((trace) => trace.x.at(-1)));
  for (const members of groups.values()) {
    const [first] = members, look = lookOf(grouping, first.name);
    const name = grouping.names[grouping.of[first.name]] ?? `no ${grouping.title}`;
    const y = first.x.map((_, i) => {
      const known = members.map((trace) => trace.y[i]).filter((value) => value !== null);
      return known.length ? known.reduce((a, b) => a + b) / known.length : null;
    });
    const told = y.map((value, i) => `${name}, mean of ${members.length}<br>epoch ${first.x[i]}<br>${value?.toFixed(digits)}<extra></extra>`);
    lines.push({
      ...first, name, y, hovertemplate: told, line: { color: look.color, dash: look.dash, width: 2 },
      marker: { ...first.marker, color: look.color, symbol: look.symbol },
    });
    const text = `${name}  ${y.at(-1)?.toFixed(digits)}`;
    beside.push({ name, text, short: text, color: look.color, x: last, y: y.at(-1) });
  }
  return { data: [...behind, ...lines], labels: beside };
}

// The traces and labels that are to be seen, as the options have them.
function arrange({ data, labels, toggles, curves, digits }, { grouping, together, most }) {
  const whole = ({ name, meta, ids }) => !toggles || ids !== undefined || (meta === undefined ? !filtered.size : isShown(name));
  let traces = data.filter(whole).map((trace) => {
    if (!trace.ids) return trace;
    return { ...trace, y: trace.y.map((value, i) => (isShown(trace.ids[i]) ? value : null)) };
  });
  let beside = labels.filter(({ name }) => isShown(name));
  if (toggles && grouping) {
    if (together && curves) ({ data: traces, labels: beside } = joinGroups(traces, beside, grouping, digits));
    else {
      const isVariant = ({ name, meta, ids }) => name !== undefined && (meta !== undefined || ids?.length === 1);
      traces = traces.map((trace) => (isVariant(trace) ? recolour(trace, lookOf(grouping, trace.name).color) : trace));
      beside = beside.map((label) => ({ ...label, color: lookOf(grouping, label.name).color }));
    }
  }
  if (curves && most) traces = traces.map((trace) => smooth(trace, most, digits));
  return { traces, beside };
}

// A layout whose axes are logarithmic where asked: plotly takes their limits and words' places as powers of 10.
function onLogAxes(layout, traces, { x, y }) {
  const power = (asked, value) => (asked ? Math.log10(value) : value);
  const positive = (asked, [low, high], values) => {
    if (!asked) return [low, high];
    const least = Math.min(high, ...values.filter((value) => value > 0));
    return [Math.log10(low > 0 ? low : least), Math.log10(high)];
  };
  const { dtick, tick0, ...across } = layout.xaxis;
  return {
    ...layout,
    xaxis: { ...(x ? { ...across, type: "log" } : layout.xaxis), range: positive(x, layout.xaxis.range, traces.flatMap((t) => t.x)) },
    yaxis: { ...layout.yaxis, ...(y ? { type: "log" } : {}), range: positive(y, layout.yaxis.range, traces.flatMap((t) => t.y)) },
    annotations: (layout.annotations ?? []).map((words) => ({
      ...words, x: words.xref === "paper" ? words.x : power(x, words.x), y: power(y, words.y),
    })),
  };
}

let library = null;

async function draw(place) {
  library ??= load();
  await library;
  const graph = graphs[place.dataset.graph], options = optionsOf(place);
  place.classList.add("ready");
  const narrow = (place.narrow = isNarrow(place));
  const { traces, beside } = arrange(graph, options);
  const layout = graph.curves ? onLogAxes(graph.layout, traces, options) : graph.layout;
  const least = parseFloat(getComputedStyle(document.documentElement).fontSize) * 19;
  const height = Math.max(least, graph.labels.length * LINE + TOP + BOTTOM);
  const longest = Math.max(0, ...[...graph.labels, ...beside].map((label) => (narrow ? label.short : label.text).length));
  const right = longest ? 22 + 6.2 * Math.min(longest, narrow ? 16 : 30) : 10;
  const at = (label) => (graph.curves ? {
    ...label,
    x: options.x ? Math.log10(label.x) : label.x,
    y: options.y && label.y !== null ? Math.log10(Math.max(label.y, 1e-12)) : label.y,
  } : label);
  const words = annotate(beside.map(at), layout.yaxis.range, height - TOP - BOTTOM, narrow);
  const whole = { ...layout, annotations: [...(layout.annotations ?? []), ...words] };
  const render = (legend) => {
    const themed = { ...theme(paint(whole), right, legend), height: height + legend };
    place.style.height = `${themed.height}px`;
    return Plotly.react(place, paint(traces), themed, {
      responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
    });
  };
  await render(0);
  const legend = place.querySelector(".infolayer .legend"); // which takes none of the axes' height
  if (legend) await render(Math.ceil(legend.getBoundingClientRect().height));
}

const drawAll = () => document.querySelectorAll(".live.ready").forEach(draw);

// A click in a legend switches a variant off or on in all graphs, two clicks all others of the legend; by keys, "none"
// and then a variant leaves it alone.
const buttons = [...document.querySelectorAll(".legend [data-variant]")];
const namesBeside = (button) => [...button.parentElement.querySelectorAll("[data-variant]")].map((each) => each.dataset.variant);

function show() {
  for (const button of buttons) {
    const name = button.dataset.variant;
    button.hidden = filtered.has(name);
    button.setAttribute("aria-pressed", String(!off.has(name)));
  }
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
    const all = namesBeside(button), others = all.filter((other) => other !== name);
    const alone = others.every((other) => off.has(other));
    all.forEach((each) => off.delete(each));
    if (!alone) others.forEach((other) => off.add(other));
    show();
  });
}

for (const button of document.querySelectorAll(".legend [data-all]")) {
  button.addEventListener("click", () => {
    namesBeside(button).forEach((name) => (button.dataset.all === "on" ? off.delete(name) : off.add(name)));
    show();
  });
}

// The options' meaning beside them, and the same colours in the legends.
function writeKey(fields) {
  const { grouping, most } = optionsOf(fields);
  fields.querySelector("output").textContent = most ? `over ${2 * most + 1} epochs` : "";
  fields.elements.together.disabled = !grouping;
  fields.querySelector(".key").replaceChildren(...(grouping?.names ?? []).map((name, i) => {
    const item = document.createElement("span"), mark = document.createElement("b");
    mark.textContent = "● ";
    mark.style.color = paint(grouping.looks[i].color);
    item.append(mark, name);
    return item;
  }));
  for (const button of fields.closest(".comparison").querySelectorAll(".legend [data-variant]")) {
    const { style } = button.querySelector(".look");
    button.dataset.own ??= style.cssText;
    style.cssText = button.dataset.own;
    if (!grouping) continue;
    const { color } = lookOf(grouping, button.dataset.variant);
    style.setProperty("--light", color);
    style.setProperty("--dark", onDark[color] ?? color);
  }
}

for (const fields of document.querySelectorAll(".options")) {
  fields.addEventListener("input", () => {
    writeKey(fields);
    fields.closest(".comparison").querySelectorAll(".live.ready").forEach(draw);
  });
}

if ("DecompressionStream" in window) {
  for (const beside of document.querySelectorAll(".legend, .options")) beside.hidden = false;
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      draw(target.querySelector(".live"));
    }
  }, { rootMargin: "400px" });
  for (const place of document.querySelectorAll(".live")) seen.observe(place.parentElement);
  dark.addEventListener("change", () => {
    document.querySelectorAll(".options").forEach(writeKey);
    drawAll();
  });
  addEventListener("resize", () => { // plotly fits the graphs; their labels are shorter where narrow
    for (const place of document.querySelectorAll(".live.ready")) {
      if (isNarrow(place) !== place.narrow || place.layout.showlegend) draw(place);
    }
  });
}

// A button beside each command copies it, from a file too, where a browser may have no clipboard for scripts.
async function copy(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(source);
    return document.execCommand("copy");
  }
}

for (const source of document.querySelectorAll("code.command")) {
  const button = document.createElement("button"), told = document.createElement("span");
  button.type = "button";
  button.className = "copy";
  button.textContent = "copy";
  button.setAttribute("aria-label", "copy the command");
  told.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    told.textContent = (await copy(source)) ? "copied" : "selected: copy it with the keyboard";
    setTimeout(() => { told.textContent = ""; }, 3000);
  });
  source.after(" ", button, " ", told);
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
