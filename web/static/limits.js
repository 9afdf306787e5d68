// The owner's limits of upload and download: shown as they are, and set all at once.

import { rate, readRate, writtenRate } from "./units.js";

const form = document.getElementById("limits");
const inForce = document.getElementById("limits-now");
let owner = null;

async function load() {
  show(await owner.call("GET", "/api/v1/limits"));
}

function show(limits) {
  for (const field of form.querySelectorAll("[data-rate]")) field.value = limits[field.name] ? writtenRate(limits[field.name]) : "";
  form.elements.lan_exempt.checked = limits.lan_exempt;
  form.elements.schedule.value = limits.schedule.join("\n");
  showNow(limits.now);
}

function showNow(now) {
  const each = (number) => (number ? rate(number) : "no limit");
  const when = { weekday: "short", hour: "2-digit", minute: "2-digit", hour12: false };
  const until = now.until ? `, until ${new Date(now.until).toLocaleString("en", when)}` : "";
  inForce.textContent = `In force now: upload ${each(now.upload)}, download ${each(now.download)}${until}.`;
}

async function save() {
  const wanted = {
    lan_exempt: form.elements.lan_exempt.checked,
    schedule: form.elements.schedule.value.split("\n").map((line) => line.trim()).filter(Boolean),
  };
  for (const field of form.querySelectorAll("[data-rate]")) {
    wanted[field.name] = readRate(field.value);
    if (wanted[field.name] === null) {
      owner.tell(`${field.value} is no rate: write one such as 500 kB/s or 4 MiB/s, or nothing for no limit.`);
      field.focus();
      return;
    }
  }
  show(await owner.call("PUT", "/api/v1/limits", wanted));
  owner.tell("These limits hold from now on.", true);
}

document.addEventListener("shoal:owner", (event) => {
  owner = event.detail;
  if (owner) void load().catch(owner.show);
});
document.addEventListener("shoal:refresh", () => {
  if (owner) void owner.call("GET", "/api/v1/limits").then((limits) => showNow(limits.now)).catch(() => {});
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  void owner.attempt(event.submitter, save);
});
