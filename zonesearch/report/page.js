// The script of a report: inflates the data and plotly, draws the figures in the look of the page, moves the map through
// the epochs, sorts tables. Nothing is fetched.
"use strict";

async function inflate(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

const root = document.documentElement;
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const config = { responsive: true, displaylogo: false, displayModeBar: false };
const shown = {}; // what is drawn in each place, so that it can be drawn again in another look
let templates;

function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches;
}

async function draw(id, figure) {
  const place = document.getElementById(`plot-${id}`);
  const first = !shown[id];
  if (shown[id] !== figure) outdated(id);
  shown[id] = figure;
  const layout = { ...figure.layout, template: templates[isDark() ? "dark" : "light"] };
  await Plotly.react(place, figure.data, layout, config);
  if (!first) return;
  place.on("plotly_relayout", (changed) => { if (!("autosize" in changed)) outdated(id); }); // turned by the reader
  place.on("plotly_restyle", () => outdated(id)); // lines hidden through the legend
}

function drawAll() {
  for (const [id, figure] of Object.entries(shown)) draw(id, figure);
}

function sortBy(button) {
  const head = button.parentElement;
  const body = head.closest("table").tBodies[0];
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const isNumber = head.classList.contains("number");
  const key = (row) => {
    const cell = row.cells[head.cellIndex];
    return isNumber ? parseFloat(cell.dataset.value ?? "NaN") : cell.textContent;
  };
  const order = (a, b) => {
    const x = key(a), y = key(b);
    if (!isNumber) return down ? y.localeCompare(x) : x.localeCompare(y);
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y); // what is unknown comes last
    return down ? y - x : x - y;
  };
  body.append(...[...body.rows].sort(order));
}

// The map: one view is two axes with the others held or averaged; one frame is what changes from epoch to epoch.
function wires(px, py, z) {
  const xs = [], ys = [], zs = [];
  py.forEach((y, j) => { px.forEach((x, i) => { xs.push(x); ys.push(y); zs.push(z[j][i]); }); xs.push(null); ys.push(null); zs.push(null); });
  px.forEach((x, i) => { py.forEach((y, j) => { xs.push(x); ys.push(y); zs.push(z[j][i]); }); xs.push(null); ys.push(null); zs.push(null); });
  return { x: xs, y: ys, z: zs };
}

const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function mapAt(view, frame, range) {
  const [low, high] = range, lift = 0.03 * (high - low);
  const [heat, halo, line, badges, ...rest] = view.map.data;
  const [px, py, heights] = frame.peaks;
  const bold = frame.numbers.map((n) => `<b>${n}</b>`);
  const width = document.getElementById("plot-map").clientWidth; // of a window so narrow that values in cells would touch
  const texttemplate = (width - 130) / frame.z[0].length < 44 ? "" : heat.texttemplate;
  const outline = { x: frame.outline[0], y: frame.outline[1] };
  const map = {
    layout: view.map.layout,
    data: [
      { ...heat, z: frame.z, zmin: low, zmax: high, texttemplate },
      { ...halo, ...outline },
      { ...line, ...outline },
      { ...badges, x: frame.corners[0], y: frame.corners[1], text: frame.badges.map((n) => `<b>${n}</b>`) },
      ...rest.map((trace) => (trace.name === "other trainings" ? { ...trace, marker: { ...trace.marker, cmin: low, cmax: high } } : trace)),
    ],
  };
  const floored = view.up > 0 ? (v) => Math.max(v, low) : (v) => Math.min(v, high); // the better values are above
  const raised = frame.z.map((row) => row.map((v) => (v === null ? null : floored(v))));
  const [surface, grid, peaks] = view.surface.data;
  const plain = (v) => `${Number(v.toPrecision(4))}${view.unit ? ` ${escaped(view.unit)}` : ""}`;
  const said = view.percent ? (v) => `${(100 * v).toFixed(2)} %` : plain;
  const text = heat.text.map((row, j) => row.map((label, i) => `${label}<br>${escaped(view.metric)} ${frame.z[j][i] === null ? "none" : said(frame.z[j][i])}`));
  const scene = view.surface.layout.scene;
  const far = width < 480 ? 1.5 : 1, eye = scene.camera.eye;
  const camera = { ...scene.camera, eye: { x: far * eye.x, y: far * eye.y, z: far * eye.z } };
  return {
    map,
    surface: {
      layout: { ...view.surface.layout, uirevision: "kept", scene: { ...scene, camera, zaxis: { ...scene.zaxis, range: view.up > 0 ? [low - lift, high + 4 * lift] : [high + lift, low - 4 * lift] } } },
      data: [
        { ...surface, z: raised, cmin: low, cmax: high, text },
        { ...grid, ...wires(surface.x, surface.y, raised.map((row) => row.map((v) => (v === null ? null : v + view.up * 0.004 * (high - low))))) },
        { ...peaks, x: px, y: py, z: heights.map((h) => (h === null ? null : Math.min(Math.max(h, low), high) + view.up * lift)), text: bold, hovertext: frame.numbers.map((n) => `zone ${n}`) },
      ],
    },
  };
}

function startMap(views) {
  const find = (id) => document.getElementById(`map-${id}`);
  const [axes, mode, slider, says, play, common] = ["axes", "others", "epoch", "says", "play", "common"].map(find);
  const chosen = find("chosen") ?? document.createElement("p");
  let timer = 0;
  const show = () => {
    const pair = axes ? axes.value : views[0].axes, how = mode ? mode.value : "best";
    const view = views.find((v) => v.axes === pair && v.mode === how);
    const step = slider ? Number(slider.value) : view.frames.length - 1;
    const frame = view.frames[step];
    const low = Math.min(...view.frames.map((f) => f.range[0])), high = Math.max(...view.frames.map((f) => f.range[1]));
    const drawn = mapAt(view, frame, common && common.checked ? [low, high] : frame.range);
    draw("map", drawn.map);
    draw("surface", drawn.surface);
    for (const option of mode ? mode.options : []) if (option.value === "best") option.textContent = `held at ${view.held}`;
    if (slider) {
      says.textContent = `${frame.epoch} of ${view.frames[view.frames.length - 1].epoch}`;
      slider.setAttribute("aria-valuetext", `epoch ${frame.epoch}`);
    }
    chosen.textContent = [mode && `Other axes ${mode.selectedOptions[0].textContent}.`, slider && `After epoch ${frame.epoch}.`].filter(Boolean).join(" ");
  };
  const stop = () => { clearInterval(timer); timer = 0; if (play) play.textContent = "▶ Play"; };
  for (const control of [axes, mode, common]) control?.addEventListener("change", show);
  slider?.addEventListener("input", () => { stop(); show(); });
  play?.addEventListener("click", () => {
    if (timer) return stop();
    if (slider.value === slider.max) slider.value = slider.min;
    play.textContent = "❚❚ Pause";
    show();
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (slider.value === slider.max) stop();
    }, Math.max(120, 6000 / slider.max));
  });
  show();
}

async function start() {
  const [data, script] = await Promise.all([inflate("data").then(JSON.parse), inflate("plotly")]);
  for (const link of document.querySelectorAll("a.csv"))
    link.href = URL.createObjectURL(new Blob([data.files[link.download]], { type: "text/csv" }));
  const element = document.createElement("script");
  element.textContent = script;
  document.head.append(element);
  templates = data.templates;
  alternatives = data.figures;
  if (data.views?.length) startMap(data.views);
  for (const [id, choices] of Object.entries(data.figures)) {
    await new Promise(requestAnimationFrame);
    draw(id, choices[0][1]);
    const chooser = document.querySelector(`select[data-chooses="${id}"]`);
    chooser?.addEventListener("change", () => draw(id, choices[chooser.value][1]));
  }
  prefersDark.addEventListener("change", drawAll);
  root.dataset.drawn = "yes";
  if (!preparing) printable();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("th button");
  if (button) sortBy(button);
});
document.getElementById("theme").addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  drawAll();
});

function trouble(error) {
  console.error(error);
  const told = document.getElementById("trouble");
  told.textContent = `The figures cannot be drawn here (${error.message}); the tables hold their numbers.`;
  told.hidden = false;
  printable();
}

start().catch(trouble);
