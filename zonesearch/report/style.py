"""How the report looks: the frame of the page, its style sheet and its few lines of script."""

__all__ = ["PAGE", "SCRIPT", "STYLE"]

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="zonesearch">
<title>$title</title>
<style>$style</style>
<script>$plotly</script>
</head>
<body>
<main>
$body
</main>
<script>$script</script>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --paper: #fdfdfb; --line: #dfe3e8; --mark: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ee; --soft: #9aa7b6; --paper: #14181f; --line: #2c3440; --mark: #56b4e9; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.1rem; font-weight: 600; color: var(--soft); margin: 0 0 .5rem; overflow-wrap: anywhere; }
.verdict { font-size: clamp(1.25rem, 2.6vw, 1.8rem); line-height: 1.35; font-weight: 600; margin: 0 0 1.25rem;
  max-width: 46rem; }
.facts { display: flex; flex-wrap: wrap; gap: .75rem 2.25rem; margin: 0 0 1rem; padding: 1rem 0;
  border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); }
.facts dt { font-size: .8rem; color: var(--soft); }
.facts dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
.notes { padding-left: 1.1rem; color: var(--soft); }
section { margin-top: 3rem; }
h2 { font-size: 1.3rem; margin: 0 0 .35rem; }
section > p { margin: 0 0 .75rem; color: var(--soft); max-width: 46rem; }
.figures { display: grid; gap: 1rem; grid-template-columns: 1fr; }
@media (min-width: 900px) { .figures.n2 { grid-template-columns: 1fr 1fr; } }
figure { margin: 0; min-width: 0; }
details { border-top: 1px solid var(--line); padding: .5rem 0; }
summary { cursor: pointer; color: var(--mark); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; margin-top: .5rem; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { padding: .28rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button:focus-visible, summary:focus-visible { outline: 2px solid var(--mark); }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
pre { overflow-x: auto; font-size: .85rem; }
@media print { details, summary { break-inside: avoid; } section { break-inside: avoid; } }
"""

SCRIPT = """
const dark = matchMedia("(prefers-color-scheme: dark)");
function draw() {
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink");
  const line = getComputedStyle(document.documentElement).getPropertyValue("--line");
  for (const script of document.querySelectorAll("script[data-figure]")) {
    const figure = JSON.parse(script.textContent);
    figure.layout.font.color = ink;
    for (const name of Object.keys(figure.layout).filter((key) => /^[xy]axis/.test(key)))
      Object.assign(figure.layout[name], { gridcolor: line, zerolinecolor: line });
    for (const name of ["xaxis", "yaxis", "zaxis"])
      if (figure.layout.scene) figure.layout.scene[name] = { ...figure.layout.scene[name], gridcolor: line };
    Plotly.react(script.dataset.figure, figure.data, figure.layout, { responsive: true, displaylogo: false });
  }
}
draw();
dark.addEventListener("change", draw);
for (const link of document.querySelectorAll("a.csv")) {
  const text = JSON.parse(link.closest("details").querySelector(".csv-data").textContent);
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
}
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, body = head.closest("table").tBodies[0], place = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[place].textContent;
    const compare = (a, b) => {
      const x = parseFloat(key(a)), y = parseFloat(key(b));
      return Number.isNaN(x) || Number.isNaN(y) ? key(a).localeCompare(key(b)) : x - y;
    };
    body.append(...[...body.rows].sort((a, b) => (down ? compare(b, a) : compare(a, b))));
  });
}
"""
