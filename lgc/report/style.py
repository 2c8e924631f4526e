"""The style of the pages: light and dark, narrow and wide, on paper."""

STYLE = """\
:root{color-scheme:light dark;--page:#f6f6f3;--card:#fff;--ink:#1b1e23;--soft:#5d6470;--line:#e2e2dc;
--faint:#efefea;--good:#1d7f5f;--bad:#b3261e;--warn:#8a5a00;--warnbg:#fff4d6;
--encoder:#3a7fc2;--network:#1f9a8a;--readout:#dd9220;--argmax:#c8415a;--io:#8591a6;--gate:var(--network)}
@media (prefers-color-scheme:dark){:root{--page:#14161a;--card:#1c1f25;--ink:#e9eaec;--soft:#a0a7b4;
--line:#31353d;--faint:#262a31;--good:#5fd0a8;--bad:#ff8a80;--warn:#ffcf70;--warnbg:#332a14;
--encoder:#6fb0ec;--network:#45c4b2;--readout:#f2b656;--argmax:#ef7388;--io:#a3aec0}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
font-variant-numeric:tabular-nums}
main{max-width:1180px;margin:0 auto;padding:28px 20px 48px}
header{margin:0 0 20px}
h1{font-size:clamp(22px,3.4vw,32px);line-height:1.15;margin:0 0 6px;letter-spacing:-.015em;
overflow-wrap:anywhere}
h1 span{color:var(--soft);font-weight:400}
h2{font-size:16px;margin:0 0 2px;letter-spacing:-.005em}
h3{font-size:13px;margin:0;font-weight:600;overflow-wrap:anywhere}
p{margin:0}
.sub,.note,figcaption{color:var(--soft);font-size:13px}
.note{margin:2px 0 14px}
.grid{display:grid;grid-template-columns:repeat(12,minmax(0,1fr));gap:16px}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;
grid-column:span 12;min-width:0;break-inside:avoid}
@media (min-width:860px),print{.w4{grid-column:span 4}.w5{grid-column:span 5}.w6{grid-column:span 6}
.w7{grid-column:span 7}.w8{grid-column:span 8}}
.tiles{display:flex;flex-wrap:wrap;gap:1px;
background:var(--line);border:1px solid var(--line);border-radius:12px;overflow:hidden;margin-bottom:16px}
.tile{background:var(--card);padding:14px 16px;min-width:0;flex:1 1 150px}
.tile b{display:block;font-size:24px;line-height:1.2;letter-spacing:-.02em;font-weight:650;white-space:nowrap}
.tile b small{font-size:14px;font-weight:500;color:var(--soft);letter-spacing:0}
.tile span{display:block;font-size:12.5px;color:var(--soft)}
.warn{background:var(--warnbg);color:var(--warn);border-radius:12px;padding:12px 16px;margin:0 0 16px}
.warn p+p{margin-top:4px}
.way{display:flex;flex-wrap:wrap;gap:8px 0;align-items:stretch;margin:0 0 16px;padding:0;list-style:none}
.way li{flex:1 1 128px;min-width:0;background:var(--card);border:1px solid var(--line);
border-top:4px solid var(--c);border-radius:8px;padding:9px 12px;margin-right:22px;position:relative}
.way li:last-child{margin-right:0}
.way li+li::before{content:"";position:absolute;left:-19px;top:50%;width:9px;height:9px;
border:solid var(--soft);border-width:1.5px 1.5px 0 0;transform:translateY(-50%) rotate(45deg)}
.way b{display:block;font-size:13px}
.way span{display:block;font-size:12.5px;color:var(--soft)}
svg{display:block;max-width:100%}
svg text{font:inherit;fill:var(--ink)}
.bar{width:100%;height:26px;border-radius:5px;overflow:hidden;background:var(--faint)}
.thin{height:8px;border-radius:4px}
.meters{display:grid;gap:10px;margin-top:16px}
.meter div{display:flex;justify-content:space-between;gap:12px;font-size:13px;margin-bottom:3px}
.meter div span:last-child{color:var(--soft)}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;width:100%;font-size:13.5px}
th{font-weight:500;color:var(--soft);text-align:left;font-size:12.5px}
th,td{padding:5px 14px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
td:last-child,th:last-child{padding-right:0}
.n{text-align:right;white-space:nowrap}
.sum td{font-weight:600}
td{overflow-wrap:anywhere}
.n,td.k{overflow-wrap:normal}
td.k{color:var(--soft);white-space:nowrap}.nw{white-space:nowrap}
.key{display:inline-block;width:.72em;height:.72em;border-radius:3px;background:var(--c);margin-right:.5em}
.legend{display:flex;flex-wrap:wrap;gap:3px 16px;font-size:12.5px;color:var(--soft);margin-top:10px}
.yes,.no{white-space:nowrap}.yes{color:var(--good);font-weight:600}.no{color:var(--bad);font-weight:600}
.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(240px,100%),1fr));gap:22px 28px}
figure{margin:0;min-width:0}
figure svg{width:100%;height:auto}
figure h3+svg{margin-top:8px}
figcaption{margin-top:8px}
.mid{max-width:430px;margin:0 auto}
.heat{max-height:300px}
.plot{min-width:560px}
.hist{height:54px!important;margin-top:10px}
.fan{display:flex;font-size:10.5px;color:var(--soft)}
.fan span{flex:1;text-align:center;min-width:0;white-space:nowrap}
details{margin-top:12px;font-size:13px}
summary{cursor:pointer;color:var(--soft)}
.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:12px}
footer{color:var(--soft);font-size:12.5px;margin-top:20px}
.c-encoder{--c:var(--encoder)}.c-network{--c:var(--network)}.c-readout{--c:var(--readout)}
.c-argmax{--c:var(--argmax)}.c-io{--c:var(--io)}.c-soft{--c:var(--soft)}.c-line{--c:var(--line)}
.ours td{background:var(--faint)}
.tight td,.tight th{white-space:nowrap;overflow-wrap:normal;padding-right:11px}
.side td,.side th{white-space:normal;min-width:104px}
.side td:first-child{min-width:128px;max-width:190px;color:var(--soft)}
.side td,.side th{overflow-wrap:break-word}
.tight td:first-child{white-space:normal;min-width:190px;max-width:340px}
.tight td:last-child{white-space:normal}.tight{margin-top:16px}
@media (max-width:520px){main{padding:18px 12px 32px}.card{padding:15px 14px}
.way li{flex-basis:100%;margin-right:0}.way li+li::before{display:none}
.tile{padding:11px 12px;flex-basis:130px}.tile b{font-size:20px}}
@page{margin:12mm}
@media print{:root{--page:#fff;--card:#fff}main{max-width:none;padding:0;zoom:.66}
.mid{max-width:340px}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}.card,.tiles,.way li{border-radius:4px}}
"""
"""CSS; colours of the parts of a design are `--encoder` to `--io`."""
