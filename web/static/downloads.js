// The owner's downloads, live. owner.js says when the owner is there, how to call the peer, and what it tells; names and
// reasons from outside are shown as text, never as markup.

import { duration, plural, rate, size } from "./units.js";

const SHOWN_FINISHED = 10;
const ORDER = ["running", "verifying", "queued", "stalled", "failed", "paused", "finished"];
const STATES = {
  queued: "waiting for its turn",
  running: "running",
  stalled: "waiting",
  paused: "paused",
  verifying: "being checked",
  finished: "finished",
  failed: "failed",
};
const DOINGS = { active: "sends", idle: "has nothing to send now", waiting: "asked again later", busy: "busy", dropped: "left" };
const OVER = ["finished", "failed"];

const list = document.getElementById("downloads");
const blank = document.getElementById("download-row");
const news = document.getElementById("download-news");
const downloads = new Map();
const rows = new Map();
let owner = null;
let drawing = 0;

// What the peer tells

async function load() {
  if (!owner) return;
  const found = await owner.call("GET", "/api/v1/downloads");
  downloads.clear();
  for (const download of found) downloads.set(download.id, download);
  draw();
}

function hear(download) {
  const before = downloads.get(download.id);
  if (before && before.state !== download.state) announce(download);
  downloads.set(download.id, download);
  if (!drawing) drawing = requestAnimationFrame(draw);
}

function announce(download) {
  if (["finished", "failed", "stalled"].includes(download.state)) news.textContent = `${download.filename}: ${STATES[download.state]}`;
}

// The list

function draw() {
  cancelAnimationFrame(drawing);
  drawing = 0;
  const all = [...downloads.values()];
  const finished = all.filter((download) => download.state === "finished").sort((a, b) => after(b, a));
  const open = all.filter((download) => download.state !== "finished").sort(inLine);
  const shown = [...open, ...finished.slice(0, SHOWN_FINISHED)];
  for (const [id, row] of rows) if (!shown.some((download) => download.id === id)) forget(id, row);
  shown.forEach((download, at) => {
    const row = rows.get(download.id) ?? added(download);
    fill(row, download);
    if (list.children[at] !== row) keepingFocus(() => list.insertBefore(row, list.children[at] ?? null));
  });
  document.getElementById("no-downloads").hidden = all.length > 0;
  const count = open.length ? `${plural(open.length, "download")} to go` : "";
  document.getElementById("downloads-count").textContent = count;
  const rest = finished.length - SHOWN_FINISHED;
  document.getElementById("clear-finished").hidden = finished.length === 0;
  document.getElementById("more-finished").textContent = rest > 0 ? `${rest.toLocaleString("en")} more are finished.` : "";
}

function inLine(a, b) {
  return ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || b.priority - a.priority || (a.added < b.added ? -1 : 1);
}

function after(a, b) {
  return (a.finished ?? a.added) < (b.finished ?? b.added) ? -1 : 1;
}

function keepingFocus(move) {
  const focused = document.activeElement;
  move();
  if (focused && focused !== document.activeElement && list.contains(focused)) focused.focus();
}

function forget(id, row) {
  rows.delete(id);
  row.remove();
}

function added(download) {
  const row = blank.content.firstElementChild.cloneNode(true);
  row.dataset.download = download.id;
  row.dataset.name = download.filename;
  rows.set(download.id, row);
  return row;
}

function fill(row, download) {
  const part = (name) => row.querySelector(`[data-part="${name}"]`);
  const isOver = OVER.includes(download.state);
  row.dataset.state = download.state;
  put(part("name"), download.filename);
  part("name").title = download.path;
  put(part("state"), STATES[download.state] ?? download.state);
  put(part("facts"), facts(download));
  put(part("why"), reason(download));
  part("why").hidden = !reason(download);
  const bar = part("bar");
  bar.max = Math.max(1, download.size);
  bar.value = download.state === "finished" ? bar.max : download.received;
  bar.hidden = download.state === "finished";
  bar.setAttribute("aria-label", `${download.filename}: ${percent(download)}`);
  row.querySelector('[data-do="pause"]').hidden = isOver || download.state === "paused";
  row.querySelector('[data-do="resume"]').hidden = !["paused", "stalled", "failed"].includes(download.state);
  put(row.querySelector('[data-do="resume"] span'), download.state === "paused" ? "Resume" : "Try now");
  for (const way of ["sooner", "later"]) row.querySelector(`[data-do="${way}"]`).hidden = isOver;
  put(row.querySelector('[data-do="cancel"] span'), isOver ? "Forget" : "Cancel");
  for (const label of row.querySelectorAll(".for-name")) put(label, download.filename);
  fillSources(part("sources"), download.sources);
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function percent(download) {
  const part = download.size ? Math.floor((100 * download.received) / download.size) : 100;
  return `${download.state === "finished" ? 100 : Math.min(99, part)}\u00a0%`;
}

function facts(download) {
  if (download.state === "finished") return `${size(download.size)}, proven, in ${download.path}`;
  const found = [percent(download), `${size(download.received)} of ${size(download.size)}`];
  if (download.received - download.verified >= 1) found.push(`${size(download.verified)} proven`);
  if (download.state === "running" && download.rate > 0) found.push(rate(download.rate));
  if (download.state === "running" && download.eta !== null) found.push(`${duration(download.eta)} left`);
  if (download.priority) found.push(`priority ${download.priority}`);
  if (download.sequential) found.push("from front to back");
  return found.join(" · ");
}

function reason(download) {
  return download.state === "paused" || download.state === "finished" ? "" : download.why;
}

function fillSources(details, sources) {
  details.hidden = sources.length === 0;
  const active = sources.filter((source) => source.state === "active").length;
  put(details.querySelector("summary"), `${plural(sources.length, "source")}, ${active} sending`);
  if (!details.open) return;
  details.querySelector("ul").replaceChildren(...sources.map(sourceRow));
}

function sourceRow(source) {
  const row = document.createElement("li");
  const name = document.createElement("code");
  name.textContent = source.peer_id.slice(0, 12);
  name.title = source.peer_id;
  const way = document.createElement("span");
  way.className = "way";
  way.textContent = source.direct ? "direct" : "relayed";
  const words = document.createElement("span");
  const doing = [source.complete ? "has all of it" : "has pieces", DOINGS[source.state] ?? source.state];
  if (source.state === "active") doing.push(rate(source.rate));
  if (source.place) doing.push(`we are number ${source.place} in its line`);
  doing.push(`${size(source.verified)} proven`);
  words.textContent = doing.join(" · ");
  row.append(name, way, words);
  if (source.why && source.state !== "active") {
    const why = document.createElement("small");
    why.textContent = source.why;
    row.append(why);
  }
  return row;
}

// What the owner does

const acts = {
  pause: (id) => change("POST", id, "/pause"),
  resume: (id) => change("POST", id, "/resume"),
  sooner: (id) => change("PATCH", id, "", { priority: Math.min(100, downloads.get(id).priority + 1) }),
  later: (id) => change("PATCH", id, "", { priority: Math.max(-100, downloads.get(id).priority - 1) }),
  cancel,
};

// A button that is gone afterwards leaves the keyboard to another one of its row.
async function act(button, row) {
  await owner.attempt(button, () => acts[button.dataset.do](row.dataset.download, row));
  if (button.hidden && document.activeElement === document.body) row.querySelector("[data-do]:not([hidden])")?.focus();
}

async function change(method, id, path, body) {
  hear(await owner.call(method, `/api/v1/downloads/${encodeURIComponent(id)}${path}`, body));
}

async function cancel(id, row) {
  const download = downloads.get(id);
  const asks = !OVER.includes(download.state) && download.received > 0;
  if (asks && !(await owner.ask(document.getElementById("confirm-cancel"), row))) return;
  await forgetDownload(id);
  (list.querySelector("button:not([hidden])") ?? document.getElementById("download-ids")).focus();
}

async function forgetDownload(id) {
  await owner.call("DELETE", `/api/v1/downloads/${encodeURIComponent(id)}`);
  downloads.delete(id);
  draw();
}

async function clearFinished() {
  for (const download of [...downloads.values()]) if (download.state === "finished") await forgetDownload(download.id);
}

// Ids, or whatever holds some: links to the super-peer's pages, a list that sha256sum printed.
async function add(form) {
  const ids = [...new Set((form.elements.ids.value.match(/(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/gi) ?? []).map((id) => id.toLowerCase()))];
  if (!ids.length) {
    owner.tell("There is no id in this: an id has 64 hex digits, and stands on the file's page at the super-peer.");
    return;
  }
  const folder = form.elements.folder.value.trim() || undefined;
  const sequential = form.elements.sequential.checked;
  const made = await owner.call("POST", "/api/v1/downloads", { files: ids.map((file_id) => ({ file_id, sequential })), folder });
  owner.tell(`${plural(made.length, "download")} added.`, true);
  form.elements.ids.value = "";
  await load();
}

// Wiring

document.addEventListener("shoal:owner", (event) => {
  owner = event.detail;
  if (owner) void load().catch(owner.show);
});
document.addEventListener("shoal:refresh", () => { if (owner) void load().catch(() => {}); });
document.addEventListener("shoal:event", (event) => {
  const { type, data } = event.detail;
  if (owner && type === "download_progress") hear(data);
  if (owner && type === "peer_info") void load().catch(() => {});
});
list.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  const row = button?.closest("[data-download]");
  if (row) void act(button, row);
});
list.addEventListener("toggle", (event) => {
  const row = event.target.closest("[data-download]");
  if (row && downloads.has(row.dataset.download)) fill(row, downloads.get(row.dataset.download));
}, true);
document.getElementById("add-downloads").addEventListener("submit", (event) => {
  event.preventDefault();
  void owner.attempt(event.submitter, () => add(event.target));
});
document.getElementById("clear-finished").addEventListener("click", (event) => {
  void owner.attempt(event.currentTarget, clearFinished);
});
