"""Script and style of the viewer of rollouts: it filters the list, unpacks or fetches a rollout, and pins panels."""

VIEWER_STYLE = """
h3{font-size:16px;margin:22px 0 2px}
.filters{display:flex;flex-wrap:wrap;gap:8px 18px;margin:12px 0 0;font-size:14px;color:var(--soft)}
.filters label{display:flex;align-items:center;gap:6px}
.filters input,.filters select{font:inherit;color:var(--ink);background:var(--paper);border:1px solid var(--soft);
border-radius:4px;padding:4px 6px;max-width:100%}
.filters input[type=number]{width:5em}
.rows{max-height:340px;overflow:auto;border-bottom:1px solid var(--faint)}
.rows table{font-size:13.5px}
.rows th{position:sticky;top:0;background:var(--paper);z-index:2;cursor:pointer}
.rows td,.rows th{padding:5px 10px}
.rows th:first-child,.rows td:first-child{padding-left:4px;min-width:14ch}
.rows .words{text-align:left;max-width:46ch;overflow:hidden;text-overflow:ellipsis}
.rows tbody tr{cursor:pointer}
.rows tbody tr:hover td,.rows tr.at td{background:var(--shade)}
.rows tr.open td{color:var(--accent);font-weight:600}
.rows i{display:inline-block;width:9px;height:9px;border-radius:5px;margin-right:7px}
[data-pin]{cursor:pointer}
.pinned>rect:first-child,.pinned>path:first-child{stroke:#d55e00;stroke-width:3}
#panel{position:fixed;z-index:8;right:0;top:0;bottom:0;width:min(460px,100vw);overflow:auto;padding:18px 20px 40px;
background:var(--paper);border-left:1px solid var(--soft);box-shadow:0 0 24px rgba(0,0,0,.18);font-size:14.5px}
#panel h4{font-size:17px;margin:0 34px 10px 0}
#panel h5{font-size:13px;margin:16px 0 4px;color:var(--soft)}
#panel pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0;font:13px/1.5 ui-monospace,Menlo,Consolas,monospace}
#panel dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 14px;margin:0}
#panel dt{color:var(--soft)}
#panel dd{margin:0;overflow-wrap:anywhere}
#panel button{position:absolute;right:12px;top:12px;font:inherit;border:0;background:none;color:var(--ink);
cursor:pointer;padding:4px 8px}
@media(max-width:700px){#panel{top:auto;max-height:62vh;width:100vw;border-left:0;border-top:1px solid var(--soft)}}
@media print{#panel,#rollouts{display:none}}
"""

VIEWER_SCRIPT = """
(function(){
var source=document.getElementById('listing');
if(!source)return;
var data=JSON.parse(source.textContent),rows=data.rows,tip=document.getElementById('tip');
var box=document.getElementById('rollouts'),body=box.querySelector('tbody'),form=box.querySelector('form');
var panel=document.getElementById('panel'),at=-1,open=+source.dataset.start,panels={},shown=[],sort=[-1,1];
var NAMES=['policy','task','question','run','score','seconds','admitted','pulled','tokens'],MOST=300,LONG=240;
function element(name,text,parent){
  var e=document.createElement(name);
  if(text!==undefined)e.textContent=text;
  if(parent)parent.appendChild(e);
  return e;
}
function outcome(score){
  if(score===null)return 'not scored';
  return score>=1?'right':score>0?'partly right':'wrong';
}
function chosen(){
  var text=form.text.value.toLowerCase(),line=form.line.value,is=form.outcome.value,least=+form.admitted.value;
  var found=[];
  rows.forEach(function(row,n){
    if(line&&row[0]!==line)return;
    if(is&&outcome(row[4])!==is)return;
    if(row[6]<least)return;
    if(text&&(row[1]+' '+row[2]).toLowerCase().indexOf(text)<0)return;
    found.push(n);
  });
  if(sort[0]>=0)found.sort(function(a,b){
    var x=rows[a][sort[0]],y=rows[b][sort[0]];
    return sort[1]*(x===y?a-b:x===null?1:y===null?-1:x<y?-1:1);
  });
  return found;
}
function list(){
  shown=chosen();
  body.textContent='';
  shown.slice(0,MOST).forEach(function(n){
    var row=rows[n],line=element('tr',undefined,body);
    line.dataset.number=n;
    row.forEach(function(value,column){
      var cell=element('td',undefined,line);
      if(column===0)element('i',undefined,cell).style.background=data.colors[value];
      if(column===1||column===2)cell.className='words';
      cell.append(value===null?'\\u2013':column>=5?value.toLocaleString('en'):String(value));
    });
  });
  var more=shown.length>MOST?', the first '+MOST+' are shown':'';
  document.getElementById('counted').textContent=shown.length+' of '+rows.length+' rollouts'+more+'.';
  at=Math.min(at,Math.min(shown.length,MOST)-1);
  mark();
}
function mark(){
  Array.prototype.forEach.call(body.children,function(line,place){
    line.classList.toggle('open',+line.dataset.number===open);
    line.classList.toggle('at',place===at);
    if(place===at)line.scrollIntoView({block:'nearest'});
  });
}
function unpack(text){
  var bytes=Uint8Array.from(atob(text),function(c){return c.charCodeAt(0)});
  var stream=new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Response(stream).json();
}
function load(n){
  if(data.served)return fetch('rollout/'+n).then(function(reply){return reply.json()});
  var pack=document.getElementById('pack-'+data.packs[n]);
  if(!pack)return Promise.resolve(null);
  return unpack(pack.textContent).then(function(whole){
    var found=whole.rollouts[n];
    Object.values(found.panels).forEach(function(panel){
      panel.texts.forEach(function(text){text[1]=whole.texts[text[1]]});
    });
    return found;
  });
}
function brief(panel){
  var lines=[panel.title].concat(panel.facts.map(function(fact){return fact.join(': ')}));
  var texts=panel.texts.filter(function(text){return text[1]}).map(function(text){
    var all=text[1].trim(),left=all.length-LONG;
    return text[0]+': '+(left<=20?all:all.slice(0,LONG)+'\\u2026 ('+left.toLocaleString('en')+' more characters)');
  });
  return [lines.join('\\n')].concat(texts).join('\\n\\n');
}
function bank(){
  var box=document.getElementById('bank');
  if(!box)return;
  box.textContent='';
  var table=element('table',undefined,box),head=element('tr',undefined,element('thead',undefined,table));
  ['entry','key','written by','pulled by'].forEach(function(name,n){
    element('th',name,head).className=n%2?'texts':'';
  });
  var lines=element('tbody',undefined,table);
  Object.keys(panels).forEach(function(name){
    if(name.indexOf('entry ')!==0)return;
    var one=panels[name],line=element('tr',undefined,lines);
    element('td',name.slice(6),line);
    element('td',one.texts[0][1],line).className='texts';
    element('td',one.facts[0][1],line);
    element('td',one.facts[1][1],line).className='texts';
    line.dataset.pin=name;
  });
}
function show(n,quiet){
  return load(n).then(function(found){
    if(!found){document.getElementById('asked').textContent='This one is listed only; lts view opens it.';return}
    open=n;panels=found.panels;close();
    if(!quiet){
      var place=document.getElementById('timeline');
      place.innerHTML='<div class="scroll">'+found.svg+'</div>';
      place.querySelectorAll('[data-pin]').forEach(function(mark){
        var panel=panels[mark.getAttribute('data-pin')];
        if(panel)mark.setAttribute('data-tip',brief(panel));
      });
      document.getElementById('opened').textContent=rows[n][0]+': '+found.task;
      document.getElementById('asked').textContent=found.question;
    }
    bank();mark();
  },function(error){document.getElementById('asked').textContent='It cannot be opened: '+error});
}
function close(){
  panel.hidden=true;tip.removeAttribute('data-held');
  document.querySelectorAll('.pinned').forEach(function(e){e.classList.remove('pinned')});
}
function pin(name){
  var one=panels[name];
  if(!one)return;
  close();
  panel.textContent='';
  element('button','close',panel).addEventListener('click',close);
  element('h4',one.title,panel);
  var facts=element('dl',undefined,panel);
  one.facts.forEach(function(fact){element('dt',fact[0],facts);element('dd',fact[1],facts)});
  one.texts.forEach(function(text){
    if(!text[1])return;
    element('h5',text[0],panel);element('pre',text[1],panel);
  });
  panel.hidden=false;panel.scrollTop=0;tip.style.visibility='hidden';
  if(one.entry!==null)tip.setAttribute('data-held',one.entry);
  document.querySelectorAll('#timeline [data-pin="'+name+'"]').forEach(function(e){e.classList.add('pinned')});
}
NAMES.forEach(function(name,column){
  var head=box.querySelector('thead'),line=head.firstChild||element('tr',undefined,head),cell=element('th',name,line);
  if(column===1||column===2)cell.className='words';
  cell.addEventListener('click',function(){sort=[column,sort[0]===column?-sort[1]:1];list()});
});
element('option','any',form.line).value='';
data.lines.forEach(function(line){element('option',line,form.line)});
form.addEventListener('input',list);
form.addEventListener('submit',function(event){event.preventDefault()});
body.addEventListener('click',function(event){
  var line=event.target.closest('tr');
  if(!line)return;
  at=Array.prototype.indexOf.call(body.children,line);show(+line.dataset.number);
});
document.addEventListener('click',function(event){
  var mark=event.target.closest('[data-pin]');
  if(mark)pin(mark.getAttribute('data-pin'));
});
document.addEventListener('keydown',function(event){
  if(event.key==='Escape'){close();return}
  if(!box.contains(event.target)||event.target.tagName==='SELECT')return;
  var step={ArrowDown:1,ArrowUp:-1}[event.key];
  if(step){at=Math.max(0,Math.min(at+step,body.children.length-1));mark();event.preventDefault()}
  if(event.key==='Enter'&&body.children[at]){show(+body.children[at].dataset.number);event.preventDefault()}
});
box.hidden=false;list();show(open,true);
})();
"""
