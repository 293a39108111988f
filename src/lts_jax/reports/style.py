"""Style sheet and script of a page: system fonts, light or dark as the reader has it, no request to anywhere."""

from lts_jax.reports.palette import ACCENT, FAINT, INK, ON_DARK, SHADE, SOFT

_LIGHT = """
:root{--ink:#1d2329;--soft:#66707a;--faint:#e3e6e9;--accent:#0072b2;--shade:#eef1f3;--paper:#fff}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif}
main{max-width:1228px;margin:0 auto;padding:40px 24px 80px}
h1{font-size:30px;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em}
h2{font-size:20px;line-height:1.3;margin:56px 0 4px}
p{margin:6px 0 14px;max-width:76ch}
.soft,small{color:var(--soft)}
.lead{font-size:19px;line-height:1.5;margin:18px 0 8px;max-width:72ch}
.facts{display:flex;flex-wrap:wrap;gap:8px 32px;margin:20px 0 0;padding:14px 0;border:solid var(--faint);
border-width:1px 0}
.facts div{min-width:0}
.facts dt{font-size:12.5px;color:var(--soft)}
.facts dd{margin:0;overflow-wrap:anywhere}
.scroll{overflow-x:auto;margin:14px 0 0}
table{border-collapse:separate;border-spacing:0;font-variant-numeric:tabular-nums;font-size:14.5px;line-height:1.35;width:100%}
th,td{padding:7px 10px;text-align:right;vertical-align:top;white-space:nowrap}
th{font-weight:600;color:var(--soft);font-size:13px;border-bottom:1px solid var(--ink);vertical-align:bottom}
td{border-bottom:1px solid var(--faint)}
td small,th small{display:block;font-weight:400;font-size:12.5px}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--paper);padding-left:0;z-index:1}
td:first-child{white-space:normal;overflow-wrap:anywhere;min-width:min(18ch,34vw)}
tr.own td{font-weight:600;color:var(--accent)}
tr.own td:first-child{box-shadow:inset 3px 0 var(--accent);padding-left:10px}
tr.own td small{font-weight:400}
td small.wrap{white-space:normal;max-width:22em}
.glossary{margin:14px 0 0;font-size:14.5px}
.glossary div{display:grid;grid-template-columns:minmax(150px,27ch) 1fr;gap:0 16px;padding:5px 0;
border-bottom:1px solid var(--faint)}
.glossary dt{display:flex;align-items:baseline;font-weight:600;overflow-wrap:anywhere}
.glossary dd{margin:0;color:var(--soft)}
.glossary i{flex:none;width:10px;height:10px;border-radius:5px;margin-right:8px}
.glossary span{min-width:0}
td.texts{white-space:normal;text-align:left;min-width:240px;overflow-wrap:anywhere}
th.texts{text-align:left}
.group{border-left:1px solid var(--faint)}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(330px,100%),1fr));gap:28px 32px;margin:16px 0 0}
.grid.pair{grid-template-columns:repeat(auto-fit,minmax(min(420px,100%),1fr))}
svg{display:block;width:100%;height:auto;max-width:calc(var(--native)*1.15);font-size:12.5px;
font-family:inherit;overflow:visible}
.scroll svg{min-width:min(var(--native),680px);max-width:none}
.scroll svg.timeline{min-width:980px}
.scroll svg.distribution{max-width:1000px}
[data-tip]{cursor:default}
.pull .arrow{stroke-width:1.3;opacity:0}
.pull circle{opacity:0}
.pull.lit circle{opacity:1}
.pull .reach{pointer-events:none}
.pull.lit .reach{pointer-events:stroke}
.pull .reach{stroke:transparent;stroke-width:9;fill:none}
.lit .arrow{stroke:#d55e00;stroke-width:2.6;opacity:1}
.lit>rect:first-child,.lit>path:only-child{stroke:#d55e00;stroke-width:2.5}
.dim{opacity:.15}
#tip{position:fixed;z-index:9;max-width:min(420px,calc(100vw - 24px));max-height:70vh;overflow:hidden;padding:10px 12px;
background:var(--ink);color:#fff;border-radius:6px;font-size:13.5px;line-height:1.45;white-space:pre-wrap;
overflow-wrap:anywhere;pointer-events:none;visibility:hidden}
details{margin:14px 0 0}
summary{cursor:pointer;color:var(--accent)}
ul{padding-left:20px;max-width:84ch}
li{margin:4px 0}
@media(max-width:560px){main{padding:24px 16px 56px}.glossary div{grid-template-columns:1fr}
h1{font-size:25px}.lead{font-size:17px}h2{margin-top:44px}
th,td{padding:6px 8px}
.scroll::before{content:"swipe sideways for the rest \\2192";position:sticky;left:0;display:block;font-size:12.5px;
color:var(--soft);margin:0 0 6px}}
@media print{main{max-width:none}.scroll{overflow:visible}#tip{display:none}}
"""


def _dark() -> str:
    """The same page on a dark screen: its colours, and those of figures, which name theirs themselves."""
    ink, soft, faint, accent, shade, paper = (ON_DARK[color] for color in (INK, SOFT, FAINT, ACCENT, SHADE, "#fff"))
    colors = f"--ink:{ink};--soft:{soft};--faint:{faint};--accent:{accent};--shade:{shade};--paper:{paper}"
    figures = "".join(
        f'svg [{part}="{color}"]{{{part}:{dark}}}'
        for color, dark in ON_DARK.items()
        for part in ("fill", "stroke")
        if (part, color) != ("fill", "#fff")  # white letters stand on a dark mark, white strokes on the page
    )
    screen = "@media screen and (prefers-color-scheme:dark)"
    return f"{screen}{{:root{{color-scheme:dark;{colors}}}#tip{{color:{paper}}}\n{figures}}}\n"


STYLE = _LIGHT + _dark()

SCRIPT = """
(function(){
var tip=document.getElementById('tip');
function all(selector,name,on){document.querySelectorAll(selector).forEach(function(e){e.classList.toggle(name,on(e))})}
function show(event){
  var at=event.target.closest?event.target.closest('[data-tip]'):null;
  var entry=at?at.getAttribute('data-entry'):tip.getAttribute('data-held');
  all('[data-entry]','lit',function(e){return entry!==null&&e.getAttribute('data-entry')===entry});
  var series=event.target.closest?event.target.closest('[data-series]'):null;
  var name=series&&series.getAttribute('data-series');
  all('[data-series]','dim',function(e){return name!==null&&e.getAttribute('data-series')!==name});
  tip.style.visibility=at?'visible':'hidden';
  if(!at)return;
  tip.textContent=at.getAttribute('data-tip');
  var x=event.clientX+14,y=event.clientY+16,box=tip.getBoundingClientRect();
  if(x+box.width>innerWidth-8)x=Math.max(8,innerWidth-box.width-8);
  if(y+box.height>innerHeight-8)y=Math.max(8,event.clientY-box.height-12);
  tip.style.left=x+'px';tip.style.top=y+'px';
}
document.addEventListener('pointermove',show);
document.addEventListener('click',show);
document.addEventListener('scroll',function(){tip.style.visibility='hidden'},true);
})();
"""
