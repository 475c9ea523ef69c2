"""The style sheet of the report: system fonts, two colour schemes, no network."""

CSS = """
:root {
  color-scheme: light dark;
  --paper: #fdfcfa; --ink: #1d1d1f; --quiet: #66656b; --line: #e3e0da;
  --panel: #f5f3ee; --mark: #1f6f4a; --shade: rgb(0 0 0 / .22);
  --s0: #2457c5; --s1: #0b7f68; --s2: #bd5410; --s3: #7d3fb0; --s4: #a82a4a;
  --s5: #5c6470;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #17181a; --ink: #e9e7e2; --quiet: #a09da0; --line: #35363a;
    --panel: #1f2023; --mark: #6fcf9f; --shade: rgb(255 255 255 / .3);
    --s0: #84a9ff; --s1: #4fcab0; --s2: #f0985a; --s3: #c698ef; --s4: #f2859d;
    --s5: #aab2be;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
    "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 60rem; margin: 0 auto; padding: 3.5rem 1.5rem 5rem; }
header { border-bottom: 1px solid var(--line); padding-bottom: 1.75rem; }
h1 {
  font-size: 2.1rem; line-height: 1.15; letter-spacing: -.02em; font-weight: 650;
  margin: 0; overflow-wrap: anywhere;
}
header p { margin: .45rem 0 0; color: var(--quiet); overflow-wrap: anywhere; }
header p.finding { color: var(--ink); font-size: 1.15rem; margin-top: 1.3rem; }
section { margin-top: 3rem; }
h2 { font-size: 1.15rem; font-weight: 650; margin: 0 0 .35rem; }
h3 { font-size: 1rem; font-weight: 650; margin: 0 0 .25rem; overflow-wrap: anywhere; }
section > p, details > p { margin: 0 0 1rem; color: var(--quiet); max-width: 42rem; }
a { color: inherit; }
/* A shade at the right edge, as long as there is more to scroll to. */
.scroll {
  overflow-x: auto; scrollbar-width: thin;
  background:
    linear-gradient(to left, var(--paper) 40%, transparent) right / 2rem 100% local,
    linear-gradient(to left, var(--shade), transparent) right / .6rem 100% scroll;
  background-repeat: no-repeat;
}
.scroll:focus-visible { outline: 2px solid var(--s0); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td {
  padding: .5rem .55rem; text-align: right; border-bottom: 1px solid var(--line);
}
thead th { text-wrap: balance; }
th { font-weight: 500; color: var(--quiet); vertical-align: bottom; }
tr.group th { border-bottom: 0; padding-bottom: 0; text-align: left; }
tr.group th + th { padding-left: .55rem; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
th:first-child { position: sticky; left: 0; background: var(--paper); }
tbody th, tbody td { vertical-align: baseline; }
th[scope=row] { color: var(--ink); font-weight: 500; }
td.words, td.name { text-align: left; }
td.words { min-width: 16rem; }
td.best { font-weight: 700; }
tbody tr:last-child > * { border-bottom-color: var(--quiet); }
thead tr:last-child > * { border-bottom-color: var(--quiet); }
.tag {
  color: var(--quiet); border: 1px solid var(--line); border-radius: 1rem;
  font-size: .72rem; font-weight: 400; padding: .05rem .5rem; margin-left: .5rem;
  white-space: nowrap;
}
.key::before {
  content: ""; display: inline-block; width: .85rem; height: .2rem; border-radius: 1px;
  background: var(--color); vertical-align: .22em; margin-right: .45rem;
}
.s0 { --color: var(--s0); } .s1 { --color: var(--s1); } .s2 { --color: var(--s2); }
.s3 { --color: var(--s3); } .s4 { --color: var(--s4); } .s5 { --color: var(--s5); }
.charts { display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem 2rem; }
.chart { margin: 0; min-width: 0; }
figcaption { font-size: .9rem; font-weight: 500; }
.legend {
  margin: .1rem 0 .5rem; font-size: .82rem; color: var(--quiet);
  display: flex; flex-wrap: wrap; gap: 0 1.1rem;
}
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--quiet); font-size: 11.5px; }
svg .grid { stroke: var(--line); }
svg .axis { stroke: var(--quiet); }
svg .reference { stroke: var(--quiet); stroke-dasharray: 5 4; }
svg .curve {
  fill: none; stroke: var(--color); stroke-width: 2; stroke-linejoin: round;
  stroke-linecap: round;
}
svg circle { fill: var(--color); }
.example { border-top: 1px solid var(--line); padding: 1.1rem 0 1.4rem; }
.example > p { margin: 0 0 1rem; color: var(--quiet); font-size: .9rem; }
.why { margin: 1.4rem 0 0; }
.why p { margin: .2rem 0 .8rem; font-size: .9rem; }
.why img, .scroll > svg {
  display: block; width: 100%; min-width: 52rem; height: auto;
}
.lists {
  display: grid; gap: 1.25rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr));
}
.lists h4 { font-size: .9rem; font-weight: 600; margin: 0 0 .3rem; }
ol { list-style: none; margin: 0; padding: 0; font-size: .9rem; }
ol li {
  display: grid; grid-template-columns: 1.6rem 1fr auto; gap: .25rem;
  padding: .22rem 0; border-top: 1px solid var(--line); line-height: 1.4;
}
ol li > :first-child, ol .score { color: var(--quiet); }
ol .title { overflow-wrap: anywhere; }
ol .hit .title { color: var(--mark); font-weight: 600; }
dl {
  display: grid; grid-template-columns: minmax(7rem, max-content) 1fr;
  gap: .3rem 1.5rem; margin: 0; font-size: .9rem;
}
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
code, pre { font: .84rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre {
  background: var(--panel); border-radius: .35rem; padding: .8rem 1rem; margin: 0;
  white-space: pre-wrap; overflow-wrap: anywhere;
}
details { margin-top: 1.25rem; }
summary { cursor: pointer; color: var(--quiet); font-size: .9rem; }
details[open] > summary { margin-bottom: .6rem; }
@media (max-width: 46rem) {
  main { padding: 2rem 1rem 3.5rem; }
  h1 { font-size: 1.6rem; }
  header p.finding { font-size: 1.05rem; }
  section { margin-top: 2.4rem; }
  table { font-size: .82rem; }
  th, td { padding: .4rem .3rem; }
  td.words { min-width: 11rem; }
  .tag { display: block; width: max-content; margin: .1rem 0 0; }
  .charts { grid-template-columns: 1fr; }
  dl { gap: .3rem 1rem; }
}
@media print {
  :root { --paper: #fff; }
  main { max-width: none; padding: 0; }
  table { font-size: .75rem; }
  section, .chart, .example { break-inside: avoid; }
}
"""
