"""The style sheet of a report: light and dark, on paper and at the width of a phone."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2024;--soft:#5c6570;--line:#d9dee3;--now:#2563a8;--then:#c06a12;
--band:#c06a1226;--good:#1d7a46;--bad:#b3261e;--open:#8a6100}
@media (prefers-color-scheme:dark){:root{--paper:#15181b;--ink:#e7eaed;--soft:#a0a9b3;--line:#343b42;--now:#6aa9ea;
--then:#e59a4d;--band:#e59a4d2e;--good:#5cc48a;--bad:#ff8a80;--open:#e3b341}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:62rem;padding:1.5rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}
.t{white-space:nowrap}h1,dd,figcaption{overflow-wrap:anywhere}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 .5rem}
h2{font-size:1.15rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line);padding-bottom:.25rem}
.lead{font-size:1.1rem}.soft,.tick{color:var(--soft);fill:var(--soft)}.tick{font-size:11px}
.verdict{display:inline-block;border:2px solid;border-radius:.4rem;padding:.05rem .6rem}
.good{color:var(--good)}.bad{color:var(--bad)}.open{color:var(--open)}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}.charts{display:flex;flex-wrap:wrap;gap:1rem}
figure{margin:0}figcaption{font-size:.9rem}
svg{max-width:100%;height:auto}
svg rect.current,svg circle.current{fill:var(--now)}svg rect.current{fill-opacity:.65}
svg rect.outline{fill:none;stroke:var(--then);stroke-width:1.5}
svg .current-line{fill:none;stroke:var(--now);stroke-width:1.5}
svg .interval{stroke:var(--now);stroke-width:2;stroke-opacity:.6}
svg .reference-line{stroke:var(--then);stroke-width:1.5}svg .reference-band{fill:var(--band)}
svg .change{stroke:var(--bad);stroke-width:2;stroke-dasharray:5 3}svg .grid{stroke:var(--line)}
svg .axis{stroke:var(--soft)}
svg .good-mark{fill:var(--good)}svg .bad-mark{fill:var(--bad)}svg .open-mark{fill:var(--open)}
.now{color:var(--now)}.then{color:var(--then)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.5rem 0}dt{color:var(--soft)}dd{margin:0}
@media (max-width:520px){body{padding:1rem}h1{font-size:1.4rem}.tick{font-size:14px}dl{grid-template-columns:1fr}
dd{margin:0 0 .4rem}.cards,.cards tbody,.cards tr,.cards td{display:block}.cards tr:first-child{display:none}
.cards tr{border-bottom:1px solid var(--line);padding:.4rem 0}.cards td{border:0;padding:.05rem 0;text-align:left}
.cards td:empty{display:none}.cards td:before{content:attr(data-label) " ";color:var(--soft)}}
""".strip()
