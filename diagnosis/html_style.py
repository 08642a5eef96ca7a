"""How the report looks, by day and by night."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2330; --dim: #667085; --line: #dfe3e8;
        --paper: #ffffff; --mark: #c2410c; --series: #2563eb; --input: #64748b;
        --band: #fde6d8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ef; --dim: #98a2b3; --line: #2b3340; --paper: #12161d;
          --mark: #fb923c; --series: #7aa2ff; --input: #94a3b8; --band: #3a2617; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 960px; margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.05rem; font-weight: 600; color: var(--dim); margin: 0 0 .25rem; }
.verdict { font-size: 1.4rem; line-height: 1.35; margin: 0 0 1.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--dim); font-weight: 500; vertical-align: bottom; }
th, td { padding: .28rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th:first-child, td:first-child { padding-left: .25rem; }
td.n, th.n { text-align: right; }
td.n { white-space: nowrap; }
td.name { overflow-wrap: break-word; }
table.dense { font-size: 13px; }
tr.worst td { background: var(--band); font-weight: 600; }
.scroll { overflow-x: auto; }
.note, summary { color: var(--dim); }
summary { cursor: pointer; margin: .75rem 0; }
svg { display: block; }
svg text { font: 11px system-ui, sans-serif; fill: var(--dim); }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .zero { stroke: var(--dim); stroke-width: 1; }
svg .mark { fill: var(--band); }
svg .bar { fill: var(--series); }
svg .bar.input { fill: var(--input); }
svg .bar.worst { fill: var(--mark); }
svg .missing { stroke: var(--dim); stroke-width: 1.5; stroke-dasharray: 1.5 3.5; }
svg .missing.worst { stroke: var(--mark); stroke-width: 3; }
"""
