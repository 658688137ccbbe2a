// The page of sandbox phones: one stream of events in, lock screens out.
// Everything that comes from outside is set as text, never as markup.
"use strict";

const maxPhones = 48; // drawn at once, the ones with the newest notifications
const maxNotes = 24;  // kept on a lock screen

const $ = (id) => document.getElementById(id);
const app = document.body.dataset.app;
const icon = document.body.dataset.icon;
const phones = new Map(); // by token
const fresh = new Set();  // tokens with something new to draw
let gone = {};
let ready = false; // what had arrived before the page opened is drawn
let server = "";
let received = 0;
let scheduled = false;

function phoneOf(token) {
  let phone = phones.get(token);
  if (!phone) {
    phone = { token, label: "", notes: [], seq: 0, view: null };
    phones.set(token, phone);
  }
  return phone;
}

function receive(delivery) {
  const phone = phoneOf(delivery.token);
  if (delivery.seq <= phone.seq) return; // a stream that resumed may repeat
  phone.seq = delivery.seq;
  phone.label = delivery.label || "";
  delivery.fresh = ready;
  phone.notes.unshift(delivery);
  phone.notes.length = Math.min(phone.notes.length, maxNotes);
  received = Math.max(received, delivery.seq);
  fresh.add(delivery.token);
  draw();
}

// draw is put off to the next frame, so that a burst is drawn once.
function draw() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    render();
  });
}

function matches(phone, wanted) {
  return !wanted || phone.token.includes(wanted) || phone.label.toLowerCase().includes(wanted);
}

function render() {
  const wanted = $("filter").value.trim().toLowerCase();
  const all = [...phones.values()].sort((a, b) => b.seq - a.seq);
  const found = all.filter((p) => matches(p, wanted));
  const shown = found.slice(0, maxPhones);

  const before = positions();
  for (const phone of shown) {
    if (!phone.view) phone.view = makePhone(phone);
    if (fresh.has(phone.token) || phone.view.dirty) fillPhone(phone);
    showState(phone);
  }
  const nodes = shown.map((p) => p.view.root);
  const list = $("phones");
  if (nodes.length !== list.children.length || nodes.some((n, i) => list.children[i] !== n)) {
    list.replaceChildren(...nodes);
    glide(before);
  }
  fresh.clear();
  // Phones that are far down the list are forgotten, so that a page that stays
  // open for days does not grow.
  for (const phone of all.slice(maxPhones * 8)) phones.delete(phone.token);

  $("empty").hidden = !ready || all.length > 0;
  $("none").hidden = all.length === 0 || found.length > 0;
  $("more").hidden = found.length <= shown.length;
  $("more").textContent = `and ${found.length - shown.length} more phones: filter by a name or token to see one`;
  showLive();
}

function makePhone(phone) {
  const root = $("phone").content.firstElementChild.cloneNode(true);
  root.style.setProperty("--h", hue(phone.token));
  const view = {
    root,
    notes: root.querySelector(".notes"),
    name: root.querySelector("strong"),
    toggle: root.querySelector(".toggle"),
    dirty: true,
  };
  root.querySelector("code").textContent = phone.token.slice(0, 8) + "…" + phone.token.slice(-6);
  root.querySelector("code").title = phone.token;
  view.toggle.addEventListener("click", () => toggle(phone));
  setClock(root);
  return view;
}

function fillPhone(phone) {
  const { view } = phone;
  view.dirty = false;
  view.name.textContent = phone.label || "A phone";
  view.notes.setAttribute("aria-label", `Notifications of ${phone.label || phone.token.slice(0, 8)}`);
  view.notes.replaceChildren(...phone.notes.map((d) => {
    if (!d.view) d.view = makeNote(d);
    return d.view;
  }));
  view.notes.scrollTop = 0;
}

function makeNote(d) {
  const li = $("note").content.firstElementChild.cloneNode(true);
  const set = (selector, text) => {
    const el = li.querySelector(selector);
    el.textContent = text || "";
    el.hidden = !text;
  };
  li.querySelector(".icon").textContent = icon;
  const silent = !d.title && !d.subtitle && !d.body;
  li.classList.toggle("silent", silent);
  set(".title", d.title || app);
  set(".subtitle", d.subtitle);
  set(".body", silent ? "Background update, nothing is shown" : d.body);
  set(".badge", d.badge > 0 ? String(d.badge) : "");
  const time = li.querySelector("time");
  time.dateTime = d.time;
  time.title = `${new Date(d.time).toLocaleString()} · apns-id ${d.apns_id}`;
  time.textContent = age(d.time);
  if (d.fresh) {
    li.classList.add("fresh");
    li.addEventListener("animationend", () => li.classList.remove("fresh"), { once: true });
  }
  return li;
}

function showState(phone) {
  const off = phone.token in gone;
  phone.view.root.classList.toggle("gone", off);
  phone.view.toggle.textContent = off ? "Install" : "Uninstall";
  phone.view.toggle.title = off
    ? "Put the app back on this phone"
    : "Take the app from this phone: the next push answers 410 Unregistered";
}

async function toggle(phone) {
  const { toggle: button } = phone.view;
  const action = phone.token in gone ? "install" : "uninstall";
  button.disabled = true;
  try {
    await fetch(action, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token: phone.token }),
    });
  } finally {
    button.disabled = false;
  }
}

// positions and glide move the phones that stay to their new places.
function positions() {
  const at = new Map();
  for (const node of $("phones").children) at.set(node, node.getBoundingClientRect());
  return at;
}

function glide(before) {
  if (!ready || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const node of $("phones").children) {
    const old = before.get(node);
    if (!old) {
      node.animate([{ opacity: 0, transform: "scale(.96)" }, {}], { duration: 260, easing: "ease-out" });
      continue;
    }
    const now = node.getBoundingClientRect();
    const [x, y] = [old.left - now.left, old.top - now.top];
    if (x || y) node.animate([{ transform: `translate(${x}px, ${y}px)` }, {}], { duration: 320, easing: "cubic-bezier(.2,.8,.2,1)" });
  }
}

function hue(token) {
  let h = 7;
  for (let i = 0; i < token.length; i++) h = (h * 31 + token.charCodeAt(i)) >>> 0;
  return h % 360;
}

function age(time) {
  const s = Math.max(0, (Date.now() - new Date(time)) / 1000);
  if (s < 45) return "now";
  if (s < 3600) return `${Math.max(1, Math.round(s / 60))}m ago`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ago`;
  return new Date(time).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}

function setClock(root) {
  const now = new Date();
  root.querySelector(".clock").textContent = now.toLocaleTimeString("en-GB", { hour: "numeric", minute: "2-digit" });
  root.querySelector(".date").textContent = now.toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long" });
}

function showLive() {
  const state = $("live").dataset.state;
  const n = received.toLocaleString("en");
  $("live-text").textContent = state === "on"
    ? (received === 1 ? "Live · 1 notification" : `Live · ${n} notifications`)
    : state === "off" ? "Reconnecting" : "Connecting";
}

function setLive(state) {
  $("live").dataset.state = state;
  showLive();
}

const events = new EventSource("events");
events.addEventListener("open", () => setLive("on"));
events.addEventListener("error", () => setLive("off"));
events.addEventListener("delivery", (e) => receive(JSON.parse(e.data)));
events.addEventListener("gone", (e) => {
  gone = JSON.parse(e.data);
  draw();
});
events.addEventListener("hello", (e) => {
  // Another server numbers its deliveries anew.
  if (server && server !== e.data) {
    phones.clear();
    received = 0;
  }
  server = e.data;
});
events.addEventListener("ready", () => {
  if (!ready) {
    render();
    ready = true;
  }
  draw();
});

$("filter").addEventListener("input", draw);
$("clear").addEventListener("click", () => {
  $("filter").value = "";
  draw();
});
$("copy").addEventListener("click", async () => {
  const button = $("copy");
  try {
    await navigator.clipboard.writeText($("example").textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($("example"));
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1600);
});

setInterval(() => {
  for (const time of document.querySelectorAll(".note time")) time.textContent = age(time.dateTime);
  for (const root of document.querySelectorAll(".phone")) setClock(root);
}, 15000);
