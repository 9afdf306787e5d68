// The owner's part of a peer's page. A link's fragment, which no server sees, holds a code that works once; the token that it
// is exchanged for stays in this tab and goes out as a header to this origin alone. Names from outside are shown as text,
// never as markup.

const KEY = "shoal-owner-token";
const REFRESH = 15000;
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 60000;

const notice = document.getElementById("notice");
const changed = document.getElementById("changed");
const waiting = [];
let token = "";
let wait = FIRST_WAIT;
let uploading = false;
let socket = null;

// The token

async function takeToken() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (!code) return stored();
  history.replaceState(null, "", location.pathname + location.search);
  try {
    return (await call("POST", "/api/v1/owner/token", { code })).token;
  } catch (problem) {
    if (stored()) return stored();
    // No token was given, so that one is wrong would be no news.
    throw problem.status === 401 ? new Problem(401, problem.detail) : problem;
  }
}

function stored() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

function keep(value) {
  token = value;
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {
    // A browser without storage keeps it for as long as the page is open.
  }
}

async function unlock(candidate) {
  keep(candidate);
  try {
    await showShares();
    document.body.classList.add("is-owner");
    notice.hidden = true;
    introduce();
    publish("shoal:owner", { call, attempt, tell, show, ask });
  } catch (problem) {
    if (![401, 403].includes(problem.status)) throw problem;
    lock();
    tell("This token does not open this peer. Take a new link from `peer open`, or the line in its owner-token file.");
  }
}

function lock() {
  keep("");
  document.body.classList.remove("is-owner");
  publish("shoal:owner", null);
}

// What the other scripts of this page hear: downloads.js and limits.js.
function publish(name, detail) {
  document.dispatchEvent(new CustomEvent(name, { detail }));
}

// Calls

class Problem extends Error {
  constructor(status, detail, title = "") {
    super(title ? `${title}. ${detail}` : detail);
    this.status = status;
    this.detail = detail;
  }
}

async function call(method, path, body) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Problem(0, "Is it still running? Start it again and repeat this.", "The peer does not answer");
  }
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw problemOf(answer.status, content);
  return content;
}

function problemOf(status, content) {
  return new Problem(status, content.detail ?? "Try again.", content.title ?? `The peer answered ${status}`);
}

function show(problem) {
  if (!(problem instanceof Problem)) throw problem;
  tell(problem.message);
  if (problem.status === 401) lock();
}

// In what went wrong, what stands between backticks is code: a command to try.
function tell(words, good = false) {
  notice.replaceChildren(...(good ? [words] : words.split("`")).map((piece, at) => {
    if (at % 2 === 0) return piece;
    const code = document.createElement("code");
    code.textContent = piece;
    return code;
  }));
  notice.classList.toggle("is-good", good);
  notice.hidden = false;
}

async function attempt(button, action) {
  const hadFocus = document.activeElement === button;
  button.disabled = true;
  try {
    await action();
  } catch (problem) {
    show(problem);
  } finally {
    button.disabled = false;
    if (hadFocus && document.activeElement === document.body) button.focus();
  }
}

function words(text) {
  return text.split(",").map((tag) => tag.trim()).filter(Boolean);
}

// The shared folders

async function showShares() {
  const shares = await call("GET", "/api/v1/shares");
  const list = document.getElementById("shares");
  list.replaceChildren(...shares.map(shareRow));
  document.getElementById("no-shares").hidden = shares.length > 0;
}

const STATES = { online: "", scanning: "being read", missing: "not there now: its disk may be unplugged" };

function shareRow(share) {
  const row = document.createElement("li");
  const path = document.createElement("bdi");
  path.textContent = share.path;
  const facts = document.createElement("span");
  facts.className = "muted";
  const state = STATES[share.state] ?? share.state;
  facts.textContent = ` ${share.files.toLocaleString("en")} files${state ? `, ${state}` : ""} `;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button quiet";
  button.textContent = "Stop sharing";
  button.setAttribute("aria-label", `Stop sharing ${share.path}`);
  button.addEventListener("click", () => void attempt(button, () => stopSharing(share.path)));
  row.append(path, facts, button);
  return row;
}

async function stopSharing(path) {
  const answer = await call("POST", "/api/v1/shares/remove", { path });
  tell(answer.message, true);
  await showShares();
}

// Share, unshare, tags

async function share(form) {
  const { path, tags } = form.elements;
  const answer = await call("POST", "/api/v1/files/share", { path: path.value, tags: words(tags.value) });
  tell(answer.message, true);
  form.reset();
  await showShares();
}

async function editTags(row) {
  const dialog = document.getElementById("edit-tags");
  const field = dialog.querySelector("input");
  field.value = row.dataset.tags;
  if (!(await ask(dialog, row))) return;
  await call("PATCH", `/api/v1/files/${encodeURIComponent(row.dataset.file)}`, { tags: words(field.value) });
  location.reload();
}

async function unshare(row) {
  if (!(await ask(document.getElementById("confirm-unshare"), row))) return;
  await call("DELETE", `/api/v1/files/unshare/${encodeURIComponent(row.dataset.file)}`);
  row.remove();
  tell(`${row.dataset.name} is no longer shared.`, true);
}

function ask(dialog, row) {
  dialog.querySelector("[data-name]").textContent = row.dataset.name;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

// Uploads, one after the other

function enqueue(files, form) {
  const limit = Number(form.dataset.max);
  for (const file of files) {
    const row = progressRow(file.name);
    if (file.size > limit) row.fail("larger than this peer takes; share it by its path instead");
    else waiting.push({ file, row });
  }
  void next();
}

async function next() {
  if (uploading) return;
  uploading = true;
  for (let job = waiting.shift(); job; job = waiting.shift()) {
    try {
      const answer = await send(job.file, job.row);
      job.row.finish(answer.message ?? "shared");
    } catch (problem) {
      job.row.fail(problem.message);
      if (problem.status === 401) show(problem);
    }
  }
  uploading = false;
}

// XMLHttpRequest, because fetch does not tell how much has been sent.
function send(file, row) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const body = new FormData();
    body.append("file", file, file.name);
    request.open("POST", "/api/v1/upload");
    request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.upload.addEventListener("progress", (event) => row.move(event.loaded, event.total));
    request.addEventListener("load", () => {
      const content = parsed(request.responseText);
      if (request.status < 300) resolve(content);
      else reject(problemOf(request.status, content));
    });
    request.addEventListener("error", () => {
      reject(new Problem(0, "Is the peer still running? Choose the file again.", "The upload broke off"));
    });
    request.send(body);
  });
}

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

function progressRow(name) {
  const row = document.createElement("li");
  const label = document.createElement("bdi");
  const words = document.createElement("small");
  const bar = document.createElement("progress");
  label.textContent = name;
  words.textContent = " waiting";
  bar.setAttribute("aria-label", name);
  bar.value = 0;
  row.append(label, words, bar);
  document.getElementById("uploads").append(row);
  const end = (text, bad) => {
    words.textContent = ` ${text}`;
    words.classList.toggle("is-bad", bad);
    bar.remove();
  };
  return {
    move(sent, total) {
      bar.max = total || 1;
      bar.value = sent;
      words.textContent = sent < total ? ` ${Math.floor((100 * sent) / total)} %` : " being proven";
    },
    finish: (text) => end(text, false),
    fail: (text) => end(text, true),
  };
}

// The peer as it is now

async function refresh() {
  if (document.hidden) return;
  publish("shoal:refresh");
  let info;
  try {
    info = await call("GET", "/api/v1/info");
  } catch {
    return;
  }
  const uplink = document.querySelector("[data-uplink]");
  uplink.classList.toggle("is-online", info.is_registered);
  document.querySelector("[data-uplink-text]").textContent = info.is_registered ? "registered with" : "not registered with";
  document.querySelector("[data-unregistered]").hidden = info.is_registered;
  document.querySelector("[data-trouble-text]").textContent = info.trouble;
  document.querySelector("[data-trouble]").hidden = !info.trouble;
  document.querySelector('[data-stat="shared_files"]').textContent = info.shared_files.toLocaleString("en");
}

function watch() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  socket.addEventListener("open", () => {
    wait = FIRST_WAIT;
    introduce();
  });
  socket.addEventListener("message", (message) => {
    const event = parsed(message.data);
    noteChange(event.type);
    publish("shoal:event", event);
  });
  socket.addEventListener("close", () => {
    setTimeout(watch, wait * (0.5 + Math.random()));
    wait = Math.min(wait * 2, LONGEST_WAIT);
  });
}

// Events of transfers are for the owner.
function introduce() {
  if (token && socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "auth", data: { token } }));
}

function noteChange(type) {
  if (!["file_added", "file_removed", "file_shared", "file_unshared"].includes(type)) return;
  changed.querySelector("span").textContent = "The list has changed since it was drawn.";
  changed.hidden = false;
}

// Wiring

document.getElementById("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = document.getElementById("token");
  void attempt(event.submitter, () => unlock(field.value.trim())).then(() => { field.value = ""; });
});
document.getElementById("lock").addEventListener("click", lock);
document.getElementById("share").addEventListener("submit", (event) => {
  event.preventDefault();
  void attempt(event.submitter, () => share(event.target));
});
document.getElementById("upload").addEventListener("submit", (event) => {
  event.preventDefault();
  enqueue([...document.getElementById("file").files], event.target);
  event.target.reset();
});
for (const type of ["dragover", "dragleave", "drop"]) {
  document.querySelector(".drop").addEventListener(type, (event) => {
    event.preventDefault();
    event.currentTarget.classList.toggle("is-over", type === "dragover");
    if (type === "drop") enqueue([...event.dataTransfer.files], document.getElementById("upload"));
  });
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  const act = { tags: editTags, unshare }[button?.dataset.act];
  if (act) void attempt(button, () => act(button.closest("[data-file]")));
});

async function begin() {
  try {
    const given = await takeToken();
    if (given) await unlock(given);
  } catch (problem) {
    show(problem);
  }
}

void begin();
addEventListener("hashchange", () => void begin());
watch();
setInterval(refresh, REFRESH);
