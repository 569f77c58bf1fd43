// Script makes the pages quicker; every one of them works without it. One module, no library, nothing stored.
//
// The pages and this module agree on attributes only:
//   data-key="e", "g i"    the key that presses this link or button, or goes to this field
//   data-part="main"       what is exchanged when the next conversation is opened; data-exchange marks the links that do it
//   data-focus             the heading (or the summary of errors) that gets the focus afterwards
//   data-autosave="URL"    a form whose fields are posted there 600 ms after typing stops; the answer may hold
//                          {"words": "Draft saved 14:18", "fields": {"version": "5"}}, with status 409 for a conflict
//   data-copy="id"         a button that copies the text of that element
//   data-goes-on           a form sent by itself
//   data-enclosed          the files of a form; the button #enclose in it puts some there
//   data-refresh="2"       an element with an id, fetched again every so many seconds until it no longer says so
//   data-live="URL"        on <body>: asked every ten seconds while the page is in sight, with its ETag. The answer, in which
//                          everything may be missing:
//                          {"counts": {"overdue": 2}, "title": 10, "checked": "Checked 2 seconds ago.", "wait": 10,
//                           "new": {"words": "3 new messages", "href": "/inbox"} or null,
//                           "presence": {"words": "Dan Okafor is writing a reply.", "writing": true,
//                                        "ask": "Dan is writing a reply. Send yours anyway?"} or null}
// A page that is fetched ahead is asked for with the header "Purpose: prefetch": nobody has read it yet.

const TYPING_STOPS = 600;
const TRY_AGAIN = 5_000;
const TOAST_STAYS = 10_000;
const LOOK_EVERY = 10; // seconds
const LOOK_AT_MOST = 120;
const KEYS_BELONG_TOGETHER = 1_500;
const FRESH_FOR = 20_000;
const SEEN_AS_SLOW = 400;
const COUNTED = /^\(\d+\) /; // before a title: "(10) Needs a reply"

const root = document.documentElement;
const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const visible = (element) => element.checkVisibility?.() ?? element.getClientRects().length > 0;
const place = (href) => { const url = new URL(href, location.href); return url.pathname + url.search; };
const touch = matchMedia("(pointer: coarse)");

// The one place where text becomes a page; the policy is named in the Content-Security-Policy.
const policy = window.trustedTypes?.createPolicy("page", { createHTML: (html) => html });
const parse = (html) => new DOMParser().parseFromString(policy ? policy.createHTML(html) : html, "text/html");

function say(words) {
  const live = one("[data-said]");
  if (!live) return;
  live.textContent = "";
  setTimeout(() => { live.textContent = words; }, 50); // emptied first, or the same words twice are said once
}

// ── Toasts ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Takes what just happened to the bottom for a while. What went wrong stays where it is. */
function toast(element) {
  element.removeAttribute("data-toast");
  say(one("p", element).textContent);
  if (element.matches(".bad, .warn")) return;
  const notices = element.parentElement;
  element.className = "toast";
  one("[data-toasts]").append(element);
  if (notices.matches(".notices") && !notices.children.length) notices.remove();
  let timer;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => (element.matches(":hover, :focus-within") ? wait() : element.remove()), TOAST_STAYS);
  };
  for (const event of ["pointerleave", "focusout"]) element.addEventListener(event, wait);
  wait();
}

// ── Drafts ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const changed = new Set();
const saving = new Set();
const timers = new WeakMap();

function tellDraft(form, words) {
  const state = one("[data-draft-state]", form);
  if (state && words) state.textContent = words;
}

function saveSoon(form, after = TYPING_STOPS) {
  changed.add(form);
  clearTimeout(timers.get(form));
  timers.set(form, setTimeout(() => save(form), after));
}

async function save(form, leaving = false) {
  clearTimeout(timers.get(form));
  if (!changed.has(form) || !form.dataset.autosave || (saving.has(form) && !leaving)) return;
  changed.delete(form);
  saving.add(form);
  const body = new URLSearchParams([...new FormData(form)].filter(([, value]) => typeof value === "string"));
  const state = one("[data-draft-state]", form)?.dataset ?? {};
  try {
    // A redirect means that the sign-in has ended: the page there must not pass for "saved".
    const answer = await fetch(form.dataset.autosave, { method: "POST", body, keepalive: leaving, redirect: "manual", headers: { Accept: "application/json" } });
    const told = answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : {};
    if (answer.status === 409) {
      delete form.dataset.autosave;
      tellDraft(form, told.words ?? state.conflict);
      say(told.words ?? state.conflict);
    } else if (answer.ok) {
      tellDraft(form, told.words);
      for (const [name, value] of Object.entries(told.fields ?? {})) if (form.elements[name]) form.elements[name].value = value;
      ahead.clear();
    } else throw new Error(answer.statusText);
  } catch {
    if (state.failed && one("[data-draft-state]", form).textContent !== state.failed) say(state.failed);
    tellDraft(form, state.failed);
    saveSoon(form, TRY_AGAIN);
  } finally {
    saving.delete(form);
    if (changed.has(form) && form.isConnected) saveSoon(form);
  }
}

const saveAll = () => { for (const form of changed) save(form, true); };

// ── Files ───────────────────────────────────────────────────────────────────────────────────────────────────────────

async function enclose(form, files) {
  const zone = one("[data-enclosed]", form);
  const body = new FormData(form);
  body.delete("file");
  for (const file of files) body.append("file", file);
  zone.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(one("#enclose").formAction, { method: "POST", body });
    const fresh = one("[data-enclosed]", parse(await answer.text()));
    const focused = zone.contains(document.activeElement);
    zone.replaceWith(document.adoptNode(fresh));
    if (focused) one("summary", fresh).focus();
    say(one(".field-error, [data-enclosed-words]", fresh).textContent);
  } catch {
    zone.removeAttribute("aria-busy");
    tellDraft(form, zone.dataset.failed);
    say(zone.dataset.failed);
  }
}

for (const kind of ["dragover", "dragleave", "drop", "paste"]) {
  document.addEventListener(kind, (event) => {
    const form = event.target.closest?.(".composer:has([data-enclosed])");
    const given = event.dataTransfer ?? event.clipboardData;
    if (!form || !given?.types.includes("Files") || (kind === "paste" && given.types.includes("text/plain"))) return;
    form.classList.toggle("dropping", kind === "dragover");
    if (kind !== "dragleave") event.preventDefault();
    if (given.files.length && kind !== "dragover") enclose(form, given.files);
  });
}

// ── Counting as the platform counts ─────────────────────────────────────────────────────────────────────────────────

const graphemes = (text) => (Intl.Segmenter ? [...new Intl.Segmenter().segment(text)].map((part) => part.segment) : [...text]);
const isLight = (point) => point <= 4351 || (point >= 8192 && point <= 8205) || (point >= 8208 && point <= 8223) || (point >= 8242 && point <= 8247);
const weight = (text) => (/\p{Extended_Pictographic}/u.test(text) ? 2 : [...text].reduce((sum, letter) => sum + (isLight(letter.codePointAt(0)) ? 1 : 2), 0));
const LENGTH = {
  characters: (text) => [...text].length,
  graphemes: (text) => graphemes(text).length,
  bytes: (text) => new TextEncoder().encode(text).length,
  // X: an address is 23, a picture 2, most letters 1 and those of Asia 2 (docs.x.com, "Counting characters").
  weighted: (text) => graphemes(text.normalize("NFC").replace(/https?:\/\/\S+/g, "x".repeat(23))).reduce((sum, part) => sum + weight(part), 0),
};

function count(area) {
  const counter = area.form && one("[data-counter]", area.form);
  if (!counter) return;
  const limit = Number(area.dataset.limit);
  const length = (LENGTH[area.dataset.countBy] ?? LENGTH.characters)(area.value);
  const number = (value) => value.toLocaleString(root.lang);
  const words = length > limit ? counter.dataset.over : counter.dataset.words;
  counter.textContent = words.replace("{count}", number(length)).replace("{limit}", number(limit)).replace("{over}", number(length - limit));
  counter.classList.toggle("near", length <= limit && limit - length <= 20);
  counter.classList.toggle("over", length > limit);
}

// ── Opening a conversation beside the list ──────────────────────────────────────────────────────────────────────────

const ahead = new Map(); // pages fetched ahead, in memory only: [time, promise]
let shown = place(location.href);
let turn = 0;

async function page(href, headers = {}) {
  const answer = await fetch(href, { headers, credentials: "same-origin" });
  if (!answer.ok || !answer.headers.get("Content-Type")?.includes("text/html")) throw new Error(answer.statusText);
  return { url: answer.url, document: parse(await answer.text()) };
}

function fetchAhead(href) {
  const known = ahead.get(href);
  if (known && Date.now() - known[0] < FRESH_FOR) return;
  const coming = page(href, { Purpose: "prefetch" });
  coming.catch(() => ahead.delete(href));
  ahead.set(href, [Date.now(), coming]);
  if (ahead.size > 4) ahead.delete(ahead.keys().next().value);
}

function taken(href) {
  const known = ahead.get(href);
  ahead.delete(href);
  return known && Date.now() - known[0] < FRESH_FOR ? known[1] : page(href);
}

/** Opens `href` by exchanging the marked parts; where that can not be done, by following it. */
async function open(href, push = true) {
  const mine = ++turn;
  saveAll();
  const slow = setTimeout(() => document.body.classList.add("loading"), SEEN_AS_SLOW);
  let fresh;
  try {
    fresh = await taken(href);
  } catch {
    fresh = null;
  } finally {
    clearTimeout(slow);
    document.body.classList.remove("loading");
  }
  if (mine !== turn) return;
  saveAll();
  if (!fresh || !exchange(fresh)) {
    if (push) location.assign(href);
    else location.reload();
    return;
  }
  shown = place(fresh.url);
  if (push) history.pushState(null, "", fresh.url);
  document.title = (document.title.match(COUNTED)?.[0] ?? "") + fresh.document.title;
  if (fresh.document.body.dataset.live) document.body.dataset.live = fresh.document.body.dataset.live;
  ready(document);
  for (const name of ["main", "side"]) one(`[data-part="${name}"]`)?.scrollTo(0, 0);
  scrollTo(0, 0);
  one("main [data-focus]")?.focus({ preventScroll: true });
}

function exchange(fresh) {
  const pairs = all("[data-part]").map((part) => [part, one(`[data-part="${part.dataset.part}"]`, fresh.document)]);
  if (!pairs.length || pairs.length !== all("[data-part]", fresh.document).length || pairs.some(([, other]) => !other)) return false;
  for (const [part, other] of pairs) if (part.dataset.part !== "list" || !mark(part, other, fresh.url)) part.replaceWith(document.adoptNode(other));
  return true;
}

/** Moves the mark in the list that is on screen, so that it keeps its place; false when the open row is not in it. */
function mark(list, other, url) {
  const link = (within, href) => all(".row-link", within).find((found) => place(found.getAttribute("href")) === place(href));
  const next = link(list, url);
  if (!next) return false;
  const before = one(".row-link[aria-current]", list);
  for (const old of new Set([before, next])) {
    if (!old) continue;
    const stale = old.closest(".row");
    const row = link(other, old.href)?.closest(".row");
    if (row) {
      const tick = one(".tick input", row);
      if (tick) tick.checked = Boolean(one(".tick input", stale)?.checked);
      stale.replaceWith(document.adoptNode(row));
    } else {
      stale.classList.toggle("open", old === next);
      if (old === next) old.setAttribute("aria-current", "true");
      else old.removeAttribute("aria-current");
    }
  }
  one(".row.open", list)?.scrollIntoView({ block: "nearest" });
  return true;
}

const besideList = () => one('[data-part="list"]');
const rowLinks = () => all(".row-link", besideList() ?? document);

addEventListener("popstate", () => {
  // A click on a link to a part of the page fires this too; only another page is exchanged.
  if (place(location.href) !== shown) open(location.href, false);
});

let rest;
document.addEventListener("pointerover", (event) => {
  clearTimeout(rest);
  const link = event.target.closest?.(".row")?.querySelector("[data-exchange]");
  if (link && besideList() && !touch.matches) rest = setTimeout(() => fetchAhead(link.href), 100);
});

// ── Keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────

let first = "";
let firstAt = 0;

function step(by) {
  const links = rowLinks();
  const reading = Boolean(besideList());
  const now = reading ? links.findIndex((link) => link.hasAttribute("aria-current")) : links.indexOf(document.activeElement?.closest(".row")?.querySelector(".row-link"));
  const next = links[now < 0 ? 0 : now + by];
  if (!next) return;
  if (!reading) {
    next.focus();
    next.closest(".row").scrollIntoView({ block: "nearest" });
    return;
  }
  open(next.href);
  const after = links[links.indexOf(next) + by];
  if (after) fetchAhead(after.href);
}

function tickAll() {
  const ticks = all(".tick input").filter(visible);
  const on = !ticks.every((tick) => tick.checked);
  for (const tick of ticks) tick.checked = on;
}

const MOVES = {
  j: () => step(1),
  k: () => step(-1),
  o: () => document.activeElement?.closest(".row")?.querySelector(".row-link")?.click(),
  x: () => (document.activeElement?.closest(".row") ?? one(".row.open"))?.querySelector(".tick input")?.click(),
  "* a": tickAll,
  "?": () => one("#keys")?.showModal(),
};

/** True when the key meant something here. */
function press(keys) {
  if (Object.hasOwn(MOVES, keys)) {
    MOVES[keys]();
    return true;
  }
  const target = all(`[data-key="${CSS.escape(keys)}"]`).find(visible);
  if (!target) return false;
  if (target.matches("input, textarea")) write(target);
  else target.click();
  return true;
}

function write(field) {
  field.focus();
  field.scrollIntoView({ block: "nearest" });
  const at = field.value[0] === "\n" ? 0 : field.value.length; // above a quote
  if (field.matches("textarea")) field.setSelectionRange(at, at);
}

function escape(field) {
  const menu = one("[data-menu][open]");
  if (menu) return shut(menu, true);
  if (!field) return;
  field.blur();
  if (field.form?.matches(".composer")) one("main [data-focus]")?.focus({ preventScroll: true });
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing) return;
  const field = event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const button = field?.form && one("[data-send]", field.form);
    if (button) field.form.requestSubmit(button);
    return;
  }
  if (one("dialog[open]")) return;
  if (event.key === "Escape") return escape(field);
  if (field?.matches("[data-filter]")) return choose(event, field);
  const key = event.key.toLowerCase();
  if (field || key.length !== 1 || key === " " || event.ctrlKey || event.metaKey || event.altKey || root.dataset.singleKeys === "off") return;
  if (event.shiftKey && /\p{L}/u.test(key)) return;
  const together = first && Date.now() - firstAt < KEYS_BELONG_TOGETHER;
  const keys = together ? `${first} ${key}` : key;
  first = "";
  if (!together && (key === "g" || key === "*")) {
    [first, firstAt] = [key, Date.now()];
    return;
  }
  if (press(keys)) event.preventDefault();
});

// ── Menus, and the list of people in one of them ────────────────────────────────────────────────────────────────────

function shut(menu, focus = false) {
  menu.open = false;
  if (focus) one("summary", menu).focus();
}

document.addEventListener("toggle", (event) => {
  const menu = event.target;
  if (!menu.matches?.("[data-menu]") || !menu.open) return;
  for (const other of all("[data-menu][open]")) if (other !== menu) shut(other);
  if (!touch.matches) one(".menu-panel :is(input:not([type=hidden]), select, textarea, a, button):not([hidden])", menu)?.focus();
}, true);

document.addEventListener("pointerdown", (event) => {
  for (const menu of all("[data-menu][open]")) if (!menu.contains(event.target)) shut(menu);
});

const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

function narrow(filter) {
  const wanted = plain(filter.value.trim());
  let best = null;
  for (const item of all(".menu-item", filter.form)) {
    item.classList.remove("first");
    const name = plain(one("span:not(.avatar)", item).firstChild.textContent.trim());
    item.hidden = !name.split(/\s+/).some((word, at, words) => words.slice(at).join(" ").startsWith(wanted));
    if (!item.hidden) best ??= item;
  }
  if (wanted) best?.classList.add("first");
}

function choose(event, filter) {
  const items = all(".menu-item:not([hidden])", filter.form);
  if (event.key === "Enter") {
    event.preventDefault();
    if (filter.value.trim()) items[0]?.click();
  } else if (event.key === "ArrowDown") {
    event.preventDefault();
    items[0]?.focus();
  }
}

document.addEventListener("keydown", (event) => {
  const item = event.target.closest(".menu-item");
  if (!item || !["ArrowDown", "ArrowUp"].includes(event.key)) return;
  event.preventDefault();
  const items = all(".menu-item:not([hidden])", item.closest(".menu-panel"));
  items[items.indexOf(item) + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
});

// ── Clicks, typing, sending ─────────────────────────────────────────────────────────────────────────────────────────

document.addEventListener("click", (event) => {
  const target = event.target.closest?.("a, button");
  if (!target || event.defaultPrevented) return;
  if (target.matches("[data-opens]")) document.getElementById(target.dataset.opens)?.showModal();
  if (target.matches("[data-tick-all]")) tickAll();
  if (target.matches("[data-copy]")) {
    navigator.clipboard.writeText(document.getElementById(target.dataset.copy).textContent);
    say(target.textContent = target.dataset.copied);
  }
  if (target.matches("[data-select]")) {
    const area = document.getElementById(target.dataset.in);
    const at = area?.value.indexOf(target.dataset.select) ?? -1;
    area?.focus();
    if (at >= 0) area.setSelectionRange(at, at + target.dataset.select.length);
  }
  if (target.matches('[href="#reply"]')) setTimeout(startReply);
  const plainClick = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  if (target.matches("[data-exchange]") && plainClick && besideList()) {
    event.preventDefault();
    open(target.href);
  }
});

function startReply() {
  const area = one("#reply [aria-invalid]") ?? one("#reply textarea");
  if (area) write(area);
}

document.addEventListener("input", ({ target }) => {
  if (target.matches("[data-limit]")) count(target);
  if (target.matches("[data-filter]")) narrow(target);
  if (target.form?.dataset.autosave) saveSoon(target.form);
});

document.addEventListener("change", ({ target }) => {
  if (target.matches("[data-single-keys]")) {
    if (target.checked) delete root.dataset.singleKeys;
    else root.dataset.singleKeys = "off";
  }
  const form = target.form;
  if (target.type === "file" && target.closest("[data-enclosed]") && target.files.length) enclose(form, target.files);
  if (form?.matches("[data-save-at-once]")) fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), keepalive: true });
});

const sent = new WeakSet();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method === "dialog") return;
  const strip = one("[data-presence]");
  if (strip?.dataset.ask && event.submitter?.matches("[data-send]")) {
    event.preventDefault(); // asked once; the next press sends
    tellPresence(strip, { words: strip.dataset.ask, writing: true });
    strip.dataset.asked = strip.dataset.ask;
    return;
  }
  if (form.method !== "post") return;
  if (sent.has(form)) return event.preventDefault(); // a double click is one message
  sent.add(form);
  setTimeout(() => sent.delete(form), TRY_AGAIN);
  clearTimeout(timers.get(form));
  changed.delete(form);
  for (const other of changed) save(other, true);
});

// ── What is new ─────────────────────────────────────────────────────────────────────────────────────────────────────

let etag = "";
let asked = "";
let pause = LOOK_EVERY;
let looking;

function tellPresence(strip, presence) {
  const text = one("span", strip);
  if ((text?.textContent ?? "") !== (presence?.words ?? "")) {
    const words = document.createElement("span");
    words.textContent = presence?.words ?? "";
    strip.replaceChildren(...(presence?.words ? [one(".icon", strip) ?? drawn(strip.dataset.icon), words] : []));
  }
  strip.classList.toggle("writing", Boolean(presence?.writing));
  delete strip.dataset.ask;
  if (presence?.ask && presence.ask !== strip.dataset.asked) strip.dataset.ask = presence.ask;
}

/** An icon of the sprite, made from one that is on the page: its address carries a fingerprint. */
function drawn(name) {
  const icon = one(".icon").cloneNode(true);
  const use = one("use", icon);
  use.setAttribute("href", `${use.getAttribute("href").split("#")[0]}#${name}`);
  return icon;
}

function tell(told) {
  for (const [key, number] of Object.entries(told.counts ?? {})) {
    for (const place of all(`[data-count="${CSS.escape(key)}"]`)) place.textContent = number || "";
  }
  if ("title" in told) document.title = (told.title ? `(${told.title}) ` : "") + document.title.replace(COUNTED, "");
  if (told.checked) for (const place of all("[data-checked]")) place.textContent = told.checked;
  for (const news of all("[data-new]")) {
    const words = told.new?.words ?? "";
    if (words && one("span", news).textContent !== words) say(words);
    one("span", news).textContent = words;
    if (told.new?.href) one("a", news).href = told.new.href;
    news.hidden = !words;
  }
  const strip = one("[data-presence]");
  if (strip && "presence" in told) tellPresence(strip, told.presence);
}

async function look() {
  clearTimeout(looking);
  const href = document.body.dataset.live;
  if (!href || document.hidden) return;
  if (href !== asked) [asked, etag] = [href, ""];
  try {
    const answer = await fetch(href, { headers: etag ? { "If-None-Match": etag } : {}, cache: "no-store", redirect: "manual" });
    if (answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 403) return; // the sign-in has ended
    if (answer.status === 200) {
      const told = await answer.json();
      if (document.body.dataset.live === href) tell(told);
      etag = answer.headers.get("ETag") ?? "";
      pause = told.wait ?? LOOK_EVERY;
    } else if (answer.status !== 304) throw new Error(answer.statusText);
  } catch {
    pause = Math.min(pause * 2, LOOK_AT_MOST);
  }
  looking = setTimeout(look, pause * 1000);
}

function keepFresh(element) {
  setTimeout(async () => {
    if (!element.isConnected) return;
    if (document.hidden) return keepFresh(element);
    try {
      const fresh = document.getElementById(element.id) && (await page(location.href)).document.getElementById(element.id);
      if (!fresh) return location.reload();
      if (fresh.textContent !== element.textContent) say(fresh.textContent.trim().replace(/\s+/g, " "));
      element.replaceWith(document.adoptNode(fresh));
      ready(fresh.parentElement);
    } catch {
      keepFresh(element);
    }
  }, Number(element.dataset.refresh) * 1000);
}

// ── Start, and again after an exchange ──────────────────────────────────────────────────────────────────────────────

function ready(within) {
  for (const control of all("[data-opens], [data-tick-all], [data-filter], [data-select]", within)) control.hidden = false;
  if (navigator.clipboard) for (const control of all("[data-copy]", within)) control.hidden = false; // not over http
  for (const element of all("[data-toast]", within)) toast(element);
  for (const area of all("[data-limit]", within)) count(area);
  for (const element of all("[data-refresh]", within)) keepFresh(element);
}

ready(document);
one("form[data-goes-on]")?.requestSubmit();
if (location.hash === "#reply") addEventListener("load", startReply); // sooner it is lost
one(".error-summary")?.focus();
if (document.body.dataset.live) looking = setTimeout(look, LOOK_EVERY * 1000);
addEventListener("visibilitychange", () => { if (document.hidden) saveAll(); else look(); });
addEventListener("pagehide", saveAll);
addEventListener("online", () => { for (const form of changed) save(form); });
