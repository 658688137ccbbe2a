// Draws what the server sends: values, small charts, and one large chart. All
// arithmetic has been done there; a line is known by its number.
'use strict';
(() => {
  const KEEP = 600; // points of each line: ten minutes
  const SVG = 'http://www.w3.org/2000/svg';
  const $ = (id) => document.getElementById(id);
  const panels = $('panels'), banner = $('banner'), live = $('live'), zoom = $('zoom');
  document.documentElement.classList.add('js');

  let boot = '', times = [], lines = [];
  let values = [], charts = [], loadedBoot = '', loadedVersion = 0, loading = false;
  const visible = new Set();

  // Formatting: the same rules as format.go.
  const digits = (v) => v === 0 ? '0' : v < 0.005 ? '< 0.01' : v < 9.995 ? v.toFixed(2) : v < 99.95 ? v.toFixed(1) : v.toFixed(0);
  const scaled = (v, whole) => {
    if (whole && Number.isInteger(v) && v < 1000) return [String(v), ''];
    if (v < 999.5) return [digits(v), ''];
    if (v < 9999.5) { const n = v.toFixed(0); return [n[0] + ',' + n.slice(1), '']; }
    for (const p of ['k', 'M', 'G']) { v /= 1000; if (v < 999.5) return [digits(v), p]; }
    return [digits(v / 1000), 'T'];
  };
  const bytes = (v) => {
    if (Number.isInteger(v) && v < 1000) return [String(v), ' B'];
    for (const p of [' B', ' kB', ' MB', ' GB']) { if (v < 999.5) return [digits(v), p]; v /= 1000; }
    return [digits(v), ' TB'];
  };
  const seconds = (v) => {
    if (v === 0) return ['0', ' s'];
    if (v < 0.9995e-6) return [digits(v * 1e9), ' ns'];
    if (v < 0.9995e-3) return [digits(v * 1e6), ' µs'];
    if (v < 0.9995) return [digits(v * 1e3), ' ms'];
    if (v < 99.95) return [digits(v), ' s'];
    const s = Math.round(v), i = Math.floor;
    if (s < 3600) return [`${i(s / 60)} min ${s % 60}`, ' s'];
    if (s < 48 * 3600) return [`${i(s / 3600)} h ${i(s % 3600 / 60)}`, ' min'];
    return [`${i(s / 86400)} d ${i(s % 86400 / 3600)}`, ' h'];
  };
  const units = {
    '': (v) => scaled(v, true),
    '/s': (v) => { const [t, u] = scaled(v, false); return [t, u + '/s']; },
    's': seconds,
    'B': bytes,
    'B/s': (v) => { const [t, u] = bytes(v); return [t, u + '/s']; },
    '%': (v) => [digits(v * 100), ' %'],
  };
  function format(v, unit, top) {
    if (v === null || v === undefined || !Number.isFinite(v)) return ['–', ''];
    let prefix = top > 0 && v >= top ? '≥ ' : '';
    if (v < 0) { prefix = '−'; v = -v; }
    const [text, suffix] = units[unit](v);
    return [prefix + text, suffix];
  }

  // Values and the layout.
  const newest = (id) => lines[id] ? lines[id][times.length - 1] : null;
  function showValues() {
    for (const el of values) {
      const v = newest(el.dataset.v);
      const [text, suffix] = format(v, el.dataset.u, Number(el.dataset.top || 0));
      const b = el.firstChild, i = el.lastChild;
      if (b.textContent !== text) b.textContent = text;
      if (i.textContent !== suffix) i.textContent = suffix;
      if ('bad' in el.dataset) el.classList.toggle('alarm', v > 0);
    }
  }
  const watcher = new IntersectionObserver((entries) => {
    for (const e of entries) {
      if (e.isIntersecting) { visible.add(e.target); draw(e.target); } else visible.delete(e.target);
    }
  });
  const chartOf = (el) => ({
    unit: el.dataset.u, max: Number(el.dataset.max || 0), title: el.dataset.title,
    lines: [...el.querySelectorAll('s')].map((s) => ({ id: Number(s.dataset.line), cls: s.dataset.class, name: s.textContent })),
  });
  function adopt() { // whatever is in #panels
    const l = $('layout').dataset;
    loadedBoot = l.boot; loadedVersion = Number(l.version);
    values = [...panels.querySelectorAll('[data-v]')];
    watcher.disconnect(); visible.clear();
    charts = [...panels.querySelectorAll('.chart')];
    for (const el of charts) { el.spec = chartOf(el); watcher.observe(el); }
    const search = $('search');
    search.hidden = false;
    search.addEventListener('input', filter);
    filter();
  }
  async function reload() {
    if (loading) return;
    loading = true;
    try {
      const answer = await fetch('dash/panels');
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const open = [...panels.querySelectorAll('details[open]')].map((d) => d.id);
      const old = $('search'), focused = document.activeElement === old;
      fresh.getElementById('search').value = old.value;
      const [from, to] = [old.selectionStart, old.selectionEnd];
      panels.replaceChildren(...fresh.body.childNodes);
      for (const id of open) { const d = $(id); if (d) d.open = true; }
      adopt();
      if (focused) { $('search').focus(); $('search').setSelectionRange(from, to); }
      showValues();
    } catch { /* the next frame tries again */ } finally { loading = false; }
  }
  function filter() {
    const words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean);
    let any = false;
    for (const group of panels.querySelectorAll('.group')) {
      let n = 0;
      for (const fam of group.querySelectorAll('.fam')) {
        fam.hidden = !words.every((w) => fam.dataset.find.includes(w));
        if (!fam.hidden) n++;
      }
      group.hidden = n === 0;
      any ||= n > 0;
      group.querySelector('.count').textContent = n;
      if (words.length && !group.open) { group.open = true; group.opened = true; }
      if (!words.length && group.opened) { group.open = false; group.opened = false; }
    }
    $('nothing').hidden = any;
  }

  // Charts.
  const make = (name, attrs, text) => {
    const el = document.createElementNS(SVG, name);
    for (const k in attrs) el.setAttribute(k, attrs[k]);
    if (text !== undefined) el.textContent = text;
    return el;
  };
  // scale maps the newest `longest` milliseconds, or as much as there is, and
  // the values in them to a box.
  function scale(chart, box, longest) {
    const end = times[times.length - 1];
    const span = Math.min(longest, Math.max(60e3, end - times[0]));
    let from = 0, max = chart.max;
    while (times[from] < end - span) from++;
    for (const l of chart.lines) {
      const vs = lines[l.id] || [];
      for (let k = from; k < times.length; k++) if (vs[k] > max) max = vs[k];
    }
    const top = max || 1;
    return {
      from, top, span, end,
      x: (k) => box.x + box.w * (1 - (end - times[k]) / span),
      y: (v) => box.y + box.h * (1 - v / top),
    };
  }
  function paths(chart, s, box) {
    const out = [];
    for (const l of chart.lines) {
      const vs = lines[l.id] || [];
      let d = '', area = '', start = null, last = 0;
      const close = () => { if (start !== null) area += `L${last} ${box.y + box.h}L${start} ${box.y + box.h}Z`; start = null; };
      for (let k = s.from; k < times.length; k++) {
        const v = vs[k];
        if (v === null || v === undefined) { close(); continue; }
        if (k > s.from && times[k] - times[k - 1] > 3500) close();
        const x = s.x(k).toFixed(1), p = `${start === null ? 'M' : 'L'}${x} ${s.y(v).toFixed(1)}`;
        if (start === null) start = x;
        d += p; area += p; last = x;
      }
      close();
      if (l.cls === 'bad' && !vs.some((v) => v > 0)) continue; // no alarm without a reason
      if (l.cls === 'main' && chart.lines.length <= 2) out.push(make('path', { class: 'area', d: area }));
      out.push(make('path', { class: l.cls, d }));
    }
    return out;
  }
  function draw(el) {
    if (!times.length) return;
    const w = el.clientWidth, h = el.clientHeight;
    let svg = el.querySelector('svg');
    if (!svg) { svg = make('svg', { 'aria-hidden': 'true' }); el.append(svg); }
    svg.setAttribute('viewBox', `0 0 ${w} ${h}`);
    const box = { x: 0, y: 2, w, h: h - 3 };
    svg.replaceChildren(...paths(el.spec, scale(el.spec, box, 300e3), box));
  }

  // The large chart.
  let zoomed = null, pointer = null;
  const ago = (msec) => {
    const s = Math.round(msec / 1000);
    return s === 0 ? 'now' : s < 120 ? `−${s} s` : `−${Math.floor(s / 60)} min` + (s % 60 ? ` ${s % 60} s` : '');
  };
  function drawZoom() {
    if (!zoomed || !times.length) return;
    const host = $('zoom-chart'), w = host.clientWidth, h = host.clientHeight;
    const box = { x: 64, y: 8, w: w - 76, h: h - 32 };
    const s = scale(zoomed, box, KEEP * 1000);
    const step = niceStep(s.top / 4);
    s.top = Math.ceil(s.top / step - 1e-9) * step;
    const svg = make('svg', { viewBox: `0 0 ${w} ${h}`, role: 'img' });
    for (let v = 0; v <= s.top + step / 2; v += step) {
      const y = box.y + box.h * (1 - v / s.top);
      svg.append(make('path', { class: 'grid', d: `M${box.x} ${y}H${box.x + box.w}` }),
        make('text', { x: box.x - 8, y: y + 4, 'text-anchor': 'end' }, format(v, zoomed.unit, 0).join('')));
    }
    s.y = (v) => box.y + box.h * (1 - v / s.top);
    for (const [f, anchor] of [[0, 'start'], [0.5, 'middle'], [1, 'end']]) {
      svg.append(make('text', { x: box.x + box.w * f, y: h - 6, 'text-anchor': anchor }, ago(s.span * (1 - f))));
    }
    svg.append(...paths(zoomed, s, box));
    let k = times.length - 1;
    if (pointer !== null) {
      const t = s.end - s.span * (1 - (pointer - box.x) / box.w);
      while (k > s.from && times[k] > t) k--;
      svg.append(make('path', { class: 'cross', d: `M${s.x(k)} ${box.y}V${box.y + box.h}` }));
    }
    host.replaceChildren(svg);
    $('zoom-legend').replaceChildren(...zoomed.lines.map((l) => {
      const item = document.createElement('span'), mark = document.createElement('em'), b = document.createElement('b');
      mark.className = l.cls;
      b.textContent = format(lines[l.id] ? lines[l.id][k] : null, zoomed.unit, 0).join('');
      item.append(mark, l.name + ' ', b);
      return item;
    }), Object.assign(document.createElement('span'), { textContent: new Date(times[k]).toLocaleTimeString() }));
  }
  function niceStep(x) {
    const p = 10 ** Math.floor(Math.log10(x)), m = x / p;
    return p * (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10);
  }
  panels.addEventListener('click', (e) => {
    const el = e.target.closest('.chart');
    if (!el) return;
    zoomed = el.spec; pointer = null;
    $('zoom-title').textContent = zoomed.title;
    zoom.showModal();
    drawZoom();
  });
  zoom.addEventListener('close', () => { zoomed = null; });
  zoom.addEventListener('click', (e) => { if (e.target === zoom) zoom.close(); });
  $('zoom-chart').addEventListener('pointermove', (e) => { pointer = e.clientX - $('zoom-chart').getBoundingClientRect().left; drawZoom(); });
  $('zoom-chart').addEventListener('pointerleave', () => { pointer = null; drawZoom(); });
  addEventListener('resize', () => { for (const el of visible) draw(el); drawZoom(); });

  // The stream.
  function history(h) {
    if (h.boot !== boot) { boot = h.boot; times = []; lines = []; }
    let keep = times.findIndex((t) => t >= h.t[0]);
    if (keep < 0) keep = times.length;
    times = times.slice(0, keep).concat(h.t);
    lines = h.s.map((vs, id) => {
      const old = lines[id] ? lines[id].slice(0, keep) : Array(keep).fill(null);
      return old.concat(Array.isArray(vs) ? vs : Array(h.t.length).fill(vs));
    });
    trim();
  }
  function trim() {
    const over = times.length - KEEP;
    if (over <= 0) return;
    times.splice(0, over);
    for (const l of lines) l.splice(0, over);
  }
  function frame(f) {
    if (times.length && f.t <= times[times.length - 1]) return; // it was in the history
    const n = times.push(f.t);
    f.s.forEach((v, id) => { (lines[id] ||= Array(n - 1).fill(null)).push(v); });
    trim();
  }
  function refresh(f) {
    if (f.boot !== loadedBoot || f.layout !== loadedVersion) reload();
    showValues();
    for (const el of visible) draw(el);
    drawZoom();
  }
  let source = null, lastSeen = 0, retry = 0, wait = 2000, hiding = 0;
  function connect() {
    clearTimeout(retry);
    if (source) source.close();
    source = new EventSource('dash/events');
    source.addEventListener('history', (e) => history(JSON.parse(e.data)));
    source.addEventListener('frame', (e) => {
      lastSeen = Date.now(); wait = 2000;
      const f = JSON.parse(e.data);
      frame(f);
      status('');
      refresh(f);
    });
    source.addEventListener('error', () => {
      // A browser gives up for good when it was refused: then we ask again.
      if (source.readyState !== EventSource.CLOSED) return;
      status(lastSeen ? '' : 'The server does not send live values: it is stopping, or too many of these pages are open. Trying again.');
      retry = setTimeout(connect, wait);
      wait = Math.min(wait * 2, 15000);
    });
  }
  function status(problem) {
    const stale = lastSeen > 0 && Date.now() - lastSeen > 3500;
    if (stale) problem = `Connection lost. These are the values of ${new Date(lastSeen).toLocaleTimeString()}; reconnecting.`;
    document.body.classList.toggle('stale', stale);
    live.classList.toggle('on', lastSeen > 0 && !stale && !problem);
    live.lastElementChild.textContent = stale ? 'reconnecting' : problem ? 'waiting' : lastSeen ? 'live' : 'connecting';
    if (banner.textContent !== problem) banner.textContent = problem;
    banner.hidden = !problem;
  }
  setInterval(() => { if (source && lastSeen) status(''); }, 1000);
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(() => { source.close(); source = null; clearTimeout(retry); }, 30000);
    else if (!source) { lastSeen = 0; connect(); }
  });

  const state = $('state');
  async function askState() {
    if (document.hidden) return;
    try {
      const s = await (await fetch('dash/state')).json();
      state.textContent = s.text;
      state.className = 'pill ' + s.class;
    } catch {
      state.textContent = 'no answer';
      state.className = 'pill bad';
    }
  }
  if (state) setInterval(askState, 3000);

  live.hidden = false;
  adopt();
  connect();
  window.furimaFormat = format; // for the test that holds it to format.go
})();
