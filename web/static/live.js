// Keeps numbers and peers of a page as they are now, told by the super-peer through `/ws`. A page without it is as it was
// when it was asked for. Whatever comes is shown as text, never as markup.

const FIRST_WAIT = 1000;
const LONGEST_WAIT = 60000;
const HUES = 8;
const LASTS_WITH = ["total_files", "online_peers"];
const UNITS = ["kB", "MB", "GB", "TB", "PB", "EB"];

const state = document.querySelector("[data-live-state]");
const list = document.querySelector("[data-peers]");
const blank = document.getElementById("peer-row");
const note = document.querySelector("[data-live-note]");

let wait = FIRST_WAIT;
let added = 0;

const handlers = {
  stats_update: showStats,
  peer_registered: showPeer,
  peer_online: showPeer,
  peer_offline: showPeer,
  file_registered: () => noteFiles(1),
  files_registered: (data) => noteFiles(data.count),
};

function connect() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  socket.addEventListener("open", () => {
    wait = FIRST_WAIT;
    say("live", true);
    socket.send(JSON.stringify({ type: "subscribe", data: { topics: ["peers", "files", "stats"] } }));
  });
  socket.addEventListener("message", (message) => handle(message.data));
  socket.addEventListener("close", retry);
}

function retry() {
  say("not live, trying again", false);
  // Not all pages at once after a restart of the super-peer.
  setTimeout(connect, wait * (0.5 + Math.random()));
  wait = Math.min(wait * 2, LONGEST_WAIT);
}

function handle(text) {
  let event;
  try {
    event = JSON.parse(text);
  } catch {
    return;
  }
  if (event && event.data && Object.hasOwn(handlers, event.type)) handlers[event.type](event.data);
}

function say(words, live) {
  state.textContent = words;
  state.classList.toggle("is-live", live);
}

function showStats(stats) {
  for (const element of document.querySelectorAll("[data-stat]")) {
    const value = stats[element.dataset.stat];
    if (typeof value !== "number") continue;
    const text = element.dataset.stat === "total_bytes" ? size(value) : count(value);
    if (element.textContent !== text && LASTS_WITH.includes(element.dataset.stat)) forgetAsDrawn();
    element.textContent = text;
  }
  if (document.querySelector("[data-empty]") && (stats.total_peers || stats.total_files)) refreshOnce(stats);
}

// What no event tells is taken away once it may no longer be true.
function forgetAsDrawn() {
  for (const element of document.querySelectorAll("[data-as-drawn]")) element.remove();
}

// A page that said "nothing yet" is asked for again when there is something; once for each state, never in a loop.
function refreshOnce(stats) {
  const seen = `${location.pathname} ${stats.total_peers > 0} ${stats.total_files > 0}`;
  if (sessionStorage.getItem("shoal-refreshed") === seen) return;
  sessionStorage.setItem("shoal-refreshed", seen);
  location.reload();
}

function showPeer(peer) {
  const row = document.querySelector(`[data-peer="${CSS.escape(String(peer.id))}"]`) ?? newRow(peer);
  if (!row) return;
  put(row, "name", peer.name || short(peer.id));
  put(row, "shared_files", plural(peer.shared_files, "file"));
  put(row, "shared_bytes", size(peer.shared_bytes));
  put(row, "presence-text", peer.is_online ? "online" : "offline");
  row.querySelector("[data-field=presence]").classList.toggle("is-online", peer.is_online);
  tellApart();
}

// In the overview's list an id's beginning stands only where two peers bear one name.
function tellApart() {
  const rows = [...(list?.children ?? [])];
  const names = rows.map((row) => row.querySelector("[data-field=name]").textContent.trim().toLowerCase());
  rows.forEach((row, at) => {
    row.querySelector("[data-field=id]").hidden = names.filter((name) => name === names[at]).length < 2;
  });
}

function newRow(peer) {
  if (!list || !blank) return null;
  const row = blank.content.firstElementChild.cloneNode(true);
  row.dataset.peer = peer.id;
  put(row, "id", short(peer.id));
  row.querySelector("[data-field=id]").title = peer.id;
  row.querySelector(".fish").classList.replace("hue-0", `hue-${hue(peer.id)}`);
  row.querySelector("a").href = `/search?${new URLSearchParams({ peer: peer.id, online: "false" })}`;
  list.prepend(row);
  while (list.children.length > Number(list.dataset.peers)) list.lastElementChild.remove();
  return row;
}

function put(row, field, text) {
  const element = row.querySelector(`[data-field="${field}"]`);
  if (element) element.textContent = text;
}

function noteFiles(more) {
  if (!note) return;
  added += more;
  note.textContent = `${plural(added, "file")} announced since this page was loaded. `;
  const link = document.createElement("a");
  link.href = location.pathname;
  link.textContent = "Show";
  note.append(link);
  note.hidden = false;
}

function size(number) {
  if (number < 1000) return `${number}\u00a0B`;
  let value = number / 1000;
  let unit = 0;
  for (; value >= 999.95 && unit < UNITS.length - 1; unit += 1) value /= 1000;
  return `${value.toFixed(1).replace(/\.0$/, "")}\u00a0${UNITS[unit]}`;
}

function count(number) {
  return number.toLocaleString("en");
}

function plural(number, noun) {
  return `${count(number)}\u00a0${noun}${number === 1 ? "" : "s"}`;
}

function short(id) {
  return id.length <= 16 ? id : `${id.slice(0, 12)}…`;
}

function hue(id) {
  return [...id].reduce((sum, character) => sum + character.codePointAt(0), 0) % HUES;
}

if (state) connect();
