// Figures on paper and as files. A browser does not wait for what is drawn on its way to print, and a canvas that it
// moves to paper is empty. So every figure is kept ready as an image in the light look, made anew when what is shown
// changes, and print.css shows the image in the figure's place.
"use strict";

const paperWidths = { wide: 860, narrow: 480 }; // pixels; print.css scales them to one or two columns
const rest = 1000; // milliseconds without a change before images are made: a surface takes a while without a graphics card
const waiting = new Set(); // the figures whose images are not up to date
let alternatives = {}; // by place: all the figures that a reader can choose from there
let preparing = false;
let changedAt = 0;

// A figure as text (svg) or bytes (png), on white and in the light look whatever the page has.
async function imageOf(figure, format, width, scale = 1) {
  const height = figure.layout.height || 400;
  const layout = { ...figure.layout, template: templates.light, paper_bgcolor: "#fff", autosize: false, width, height };
  const options = { format, width, height, scale, imageDataOnly: true };
  const made = await Plotly.toImage({ data: figure.data, layout, config }, options);
  if (format === "svg") return new Blob([made], { type: "image/svg+xml" });
  return new Blob([Uint8Array.from(atob(made), (c) => c.charCodeAt(0))], { type: "image/png" });
}

// What is shown in a place as the reader left it: turned, with lines hidden. What was not drawn yet is as it was made.
function asLeft(id) {
  const place = document.getElementById(`plot-${id}`);
  return place.data ? { data: place.data, layout: place.layout } : shown[id];
}

async function prepare(id) {
  const figure = document.getElementById(`plot-${id}`).closest("figure");
  const choices = alternatives[id]?.length > 1 ? alternatives[id] : [["", asLeft(id)]]; // paper has no chooser: all of them
  const isWide = choices.length === 1 && figure.closest(".columns1, #map");
  const images = [];
  for (const [label, one] of choices) {
    const image = new Image();
    image.alt = [figure.querySelector(".plot").getAttribute("aria-label"), label].filter(Boolean).join(" ");
    image.src = URL.createObjectURL(await imageOf(one, "svg", isWide ? paperWidths.wide : paperWidths.narrow));
    await image.decode();
    const sheet = document.createElement("div");
    if (label) sheet.append(`${figure.querySelector(".choose").firstChild.data.trim()} ${label}`);
    sheet.append(image);
    images.push(sheet);
  }
  const paper = figure.querySelector(".paper");
  for (const old of paper.querySelectorAll("img")) URL.revokeObjectURL(old.src);
  paper.replaceChildren(...images);
}

// Called when what is shown in a place changed; its image is made when the reader has come to rest.
function outdated(id) {
  waiting.add(id);
  changedAt = performance.now();
  delete root.dataset.printable;
  if (!preparing) prepareAll();
}

async function prepareAll() {
  preparing = true;
  while (waiting.size) {
    do await new Promise((done) => setTimeout(done, 50)); while (!unwritten && performance.now() - changedAt < rest);
    const [id] = waiting;
    waiting.delete(id);
    try {
      await prepare(id);
    } catch (error) { // it prints as the screen shows it
      console.warn(`no image of ${id}: ${error.message ?? error}`);
      document.getElementById(`plot-${id}`).closest("figure").querySelector(".paper").replaceChildren();
    }
  }
  preparing = false;
  if (root.dataset.drawn) printable();
}

// A document that is still being written keeps the page from having loaded, which is what a browser that is told to print
// a file waits for: it asks for the address with #when-printable.
let unwritten = null;
if (location.hash === "#when-printable") {
  unwritten = document.createElement("iframe");
  unwritten.hidden = true;
  document.body.append(unwritten);
  unwritten.contentDocument.open();
}

function printable() {
  root.dataset.printable = "yes";
  unwritten?.contentDocument.close();
  unwritten?.remove();
  unwritten = null;
}

async function download(button) {
  const figure = button.closest("figure"), place = figure.querySelector(".plot");
  const id = place.id.replace("plot-", ""), format = button.dataset.format;
  const file = await imageOf(asLeft(id), format, Math.max(700, place.clientWidth), format === "png" ? 2 : 1);
  const link = document.createElement("a");
  link.download = `${document.title} ${id}`.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 80) + `.${format}`;
  link.href = URL.createObjectURL(file);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

const folded = new Set(); // tables that only printing has opened

addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details:not([open])")) {
    folded.add(details);
    details.open = true;
  }
});
addEventListener("afterprint", () => {
  for (const details of folded) details.open = false;
  folded.clear();
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-format]");
  if (button) download(button).catch(trouble);
});
