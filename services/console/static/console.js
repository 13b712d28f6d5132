// What the console does in the browser. Every page works without it; with it, everything works from the keyboard.
"use strict";

const find = (selector, root = document) => root.querySelector(selector);
const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];
const visible = (element) => element.getClientRects().length > 0;

// Keyboard

const rows = () => findAll("[data-row]").filter(visible);
const currentRow = () => document.activeElement?.closest("[data-row]");

function step(by) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(currentRow());
  const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by));
  all[next].focus();
  all[next].scrollIntoView({ block: "nearest" });
}

function openRow() {
  const row = currentRow();
  if (!row || document.activeElement !== row) return false;
  const tick = find("input[type=checkbox]", row);
  const link = find("a.what", row) || find("summary", row);
  (tick || link)?.click();
  return Boolean(tick || link);
}

function press(key) {
  const target = (currentRow() && find(`[data-key="${key}"]`, currentRow())) || findAll(`main [data-key="${key}"]`).find((one) => !one.closest("[data-row]"));
  if (!target) return false;
  if (target.matches("textarea, input[type=radio]")) target.focus();
  if (!target.matches("textarea")) target.click();
  return true;
}

const typing = (element) => element.matches("textarea, select, input:not([type=checkbox], [type=radio])");

const COMMANDS = {
  j: () => (step(1), true),
  k: () => (step(-1), true),
  Enter: openRow,
  "/": () => { const field = findAll("[data-search]").find(visible); field?.focus(); field?.select(); return Boolean(field); },
  "?": () => (find("#help").showModal(), true),
  q: () => (location.assign("/console/queue"), true),
};

document.addEventListener("keydown", (event) => {
  const at = event.target;
  if (event.isComposing) return;  // an input method for Chinese is at work
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const form = at.closest?.("form") || find("#verdict");
    if (form) { event.preventDefault(); form.requestSubmit(); }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || find("dialog[open]")) return;
  if (event.key === "Escape" && at !== document.body) { at.blur?.(); return; }
  if (typing(at)) return;
  const done = (COMMANDS[event.key] || (() => press(event.key)))();
  if (done) event.preventDefault();
});

find("#show-help")?.addEventListener("click", () => find("#help").showModal());

// Where the machine is dark and nothing was chosen, the other theme is the light one.
const other = find("#theme");
if (document.documentElement.dataset.theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches) {
  other.href = other.href.replace("theme=dark", "theme=light");
  other.textContent = other.dataset.light;
}

// Fragments

async function fragment(address) {
  const reply = await fetch(address, { headers: { accept: "text/html" }, credentials: "same-origin" });
  if (!reply.ok || reply.redirected) throw new Error(String(reply.status));
  return reply.text();
}

function localTimes(root = document) {
  const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "short", timeStyle: "short" });
  for (const one of findAll("time[datetime]", root)) {
    const moment = new Date(one.dateTime);
    if (!Number.isNaN(moment.valueOf())) { one.title = one.dateTime; one.textContent = format.format(moment); }
  }
}
localTimes();

const list = find("#passages");
const search = find("#find-form");
if (list && search) {
  search.addEventListener("submit", async (event) => {
    event.preventDefault();
    const asked = new FormData(search).get("find");
    const kept = findAll(".pick", list).filter((one) => find("input", one).checked);
    const known = new Set(kept.map((one) => one.dataset.passage));
    const holder = document.createElement("ol");
    try {
      holder.innerHTML = await fragment(`${list.dataset.from}?find=${encodeURIComponent(asked)}`);
    } catch { search.submit(); return; }
    const fresh = [...holder.children].filter((one) => !known.has(one.dataset.passage));
    list.replaceChildren(...kept, ...fresh);
    find(".pick", list)?.focus();
  });
}

const opinion = find("#opinion");
if (opinion) {
  fragment(opinion.dataset.load).then((shown) => {
    opinion.innerHTML = shown;
    const told = find("#suggested", opinion);
    const take = find("#take-suggested");
    if (!told || !take || !(told.dataset.variants || told.dataset.negatives)) return;
    take.hidden = false;
    take.addEventListener("click", () => {
      for (const name of ["variants", "negatives"]) {
        const field = find(`#${name}`);
        field.value = [...new Set([...field.value.split("\n"), ...told.dataset[name].split("\n")])].filter(Boolean).join("\n");
      }
    });
  }).catch(() => {});
}

const jobs = find("#jobs");
async function lookAgain() {
  if (!find("[data-running]", jobs)) return;
  try { jobs.innerHTML = await fragment(jobs.dataset.again); localTimes(jobs); } catch { /* the next look may do */ }
  setTimeout(lookAgain, 1000);
}
if (jobs) setTimeout(lookAgain, 1000);

// A form is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method !== "post") return;
  if (event.target.dataset.sent) { event.preventDefault(); return; }
  event.target.dataset.sent = "yes";
});
addEventListener("pageshow", () => findAll("form[data-sent]").forEach((one) => delete one.dataset.sent));
