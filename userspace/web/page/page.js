"use strict";
/*
 * Draws what /status.json says, every second. Owns no number: all come from there, but for rates, which are differences of
 * two of its documents. Text from servers becomes text (textContent), never markup. Elements are kept from one
 * document to the next and only what changed is written: so a reader's place, selection and screen reader stay.
 */
const TICK_MS = 1000, TIMEOUT_MS = 2000, PAST_MS = 5000, EVENTS = 30;
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

/* --- elements --- */

function make(tag, name, parent) {
  const e = document.createElement(tag);
  if (name) e.className = name;
  if (parent) parent.append(e);
  return e;
}

function shape(tag, name, parent) {
  const e = document.createElementNS(SVG, tag);
  if (name) e.setAttribute("class", name);
  parent.append(e);
  return e;
}

function say(e, text) {
  if (e.textContent !== String(text)) e.textContent = text;
}

function attribute(e, name, value) {
  if (e.getAttribute(name) !== value) e.setAttribute(name, value);
}

/* Children of `parent` by the keys of `items`, in their order: made, kept or removed. */
function each(parent, items, key, create, update) {
  const had = new Map([...parent.children].filter((c) => c.dataset.key !== undefined).map((c) => [c.dataset.key, c]));
  let last = null;
  for (const item of items) {
    let e = had.get(String(key(item)));
    if (e) had.delete(e.dataset.key);
    else {
      e = create(item);
      e.dataset.key = key(item);
    }
    if (last ? last.nextSibling !== e : parent.firstChild !== e) last ? last.after(e) : parent.prepend(e);
    update(e, item);
    last = e;
  }
  for (const e of had.values()) e.remove();
}

function icon(parent) {
  const svg = shape("svg", "icon", parent);
  svg.setAttribute("aria-hidden", "true");
  shape("use", "", svg);
  return svg;
}

function setIcon(svg, kind) {
  attribute(svg, "class", "icon is-" + kind);
  attribute(svg.firstChild, "href", "#" + kind);
}

/* --- words --- */

const number = (n) => n.toLocaleString("en");
const plural = (n, one, many) => `${number(n)} ${n === 1 ? one : many || one + "s"}`;

function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1000;
  return `${i && n < 10 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

function duration(s) {
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]])
    if (s >= size) return `${Math.floor(s / size)} ${unit}`;
  return `${Math.max(0, Math.floor(s))} s`;
}

const clock = (text) => new Date(text).toLocaleTimeString("en-GB");
const day = (text) => new Date(text).toLocaleDateString("en-GB", { day: "numeric", month: "short" });

const VERDICTS = { up: "up", draining: "draining", down: "down", unknown: "not known" };
const STATES = {
  up: ["up", "Accepting mail"],
  "draining-only": ["draining", "Only draining servers take mail"],
  "panic": ["down", "All servers failed at once, perhaps because of this box; mail still goes to the last ones"],
  "fail-open": ["draining", "Only servers with a bad certificate take mail"],
  down: ["down", "No server available"],
  "not-ready": ["unknown", "Not ready: no verdicts yet"],
  blind: ["down", "Mail is lost: mxlb does not see the packets on its interface"],
};

/* --- rates --- */

const seen = new Map(); /* backend -> {at, new}, two documents' */

function rate(key, count, at) {
  const before = seen.get(key);
  seen.set(key, { at, count, per: before && before.count <= count && at > before.at ? ((count - before.count) * 1000) / (at - before.at) : 0 });
  return seen.get(key).per;
}

const perSecond = (n) => (n > 0 && n < 10 ? n.toFixed(1) : number(Math.round(n)));

/* --- the chart --- */

let past = { step_s: 5, services: [] };

function makeChart(parent) {
  const chart = make("figure", "chart", parent);
  const svg = shape("svg", "", chart);
  svg.setAttribute("viewBox", "0 0 180 48");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  for (const [tag, name] of [["path", "area"], ["path", "line"], ["path", "base"]]) shape(tag, name, svg);
  svg.lastChild.setAttribute("d", "M0 47.5H180");
  const now = make("div", "now", chart);
  make("span", "", now);
  make("small", "", now).textContent = "new/s";
  make("figcaption", "legend", chart);
}

function drawChart(chart, name, per) {
  const counts = (past.services.find((s) => s.name === name) || { new: [] }).new;
  const values = counts.map((n) => n / past.step_s).concat(per);
  const most = Math.max(...values, 0), top = Math.max(most, 1), left = 181 - values.length;
  const points = values.map((v, i) => `${left + i - 1} ${(47 - (v / top) * 45).toFixed(1)}`);
  const [svg, now, legend] = chart.children, [area, line] = svg.children;
  attribute(line, "d", "M" + points.join("L"));
  attribute(area, "d", `M${left - 1} 47.5L${points.join("L")}V47.5Z`);
  say(now.firstChild, perSecond(per));
  const span = Math.round((counts.length * past.step_s) / 60);
  const words = `New connections, last ${span ? plural(span, "minute") : "moments"}; peak ${perSecond(most)} per second`;
  say(legend, words);
  attribute(svg, "aria-label", `${words}, now ${perSecond(per)}`);
}

/* --- servers, tiers, services --- */

// With more than 1,000 servers the document has only the earlier name.
const serversOf = (tier) => tier.servers ?? tier.backends;

const FIGURES = ["Certificate", "Sessions", "New/s", "Probe"];

function makeBackend() {
  const row = make("div", "backend");
  row.setAttribute("role", "listitem");
  const who = make("div", "who", row);
  icon(who);
  make("b", "", who);
  make("small", "", who);
  const why = make("div", "why", row);
  for (const [tag, name] of [["span", "verdict"], ["small", "reason"], ["small", "exo"], ["small", "order"], ["small", "next"]]) make(tag, name, why);
  const figures = make("dl", "figures", row);
  for (const label of FIGURES) {
    const f = make("div", "figure", figures);
    make("dt", "", f).textContent = label;
    make("dd", "", f);
  }
  return row;
}

function orderText(b) {
  const o = b.admin_order;
  if (!o) return b.admin === "ready" ? "" : `operator: ${b.admin}`;
  const until = o.until ? ` until ${day(o.until)} ${clock(o.until)}` : "";
  return b.admin === "ready" ? "" : `${b.admin} by ${o.who}${until}`;
}

function weightText(b) {
  if (b.weight !== b.configured_weight) return ` · weight ${b.weight}, configured ${b.configured_weight}`;
  return b.weight === 1 ? "" : ` · weight ${b.weight}`;
}

function kindOf(b) {
  return b.admin === "maint" ? "paused" : b.admin === "drain" && b.verdict === "up" ? "draining" : b.verdict;
}

function verdictText(b, now) {
  const word = b.admin === "maint" ? "maintenance" : b.admin === "drain" ? `drained, ${VERDICTS[b.verdict]}` : VERDICTS[b.verdict];
  return `${word}${b.since ? ` for ${duration((now - Date.parse(b.since)) / 1000)}` : ""}${b.in_ring ? " · takes new connections" : ""}`;
}

/* [text, how bad] */
function certificate(b) {
  if (!b.tls || b.tls.days_left === null) return ["–", ""];
  const days = b.tls.days_left;
  return [days < 0 ? `expired ${-days} d` : `${number(days)} d`, days < 7 ? "is-down" : days < 21 ? "is-draining" : ""];
}

function updateBackend(row, b, now, per, next) {
  const [who, why, figures] = row.children, [verdict, reason, exo, order, todo] = why.children;
  attribute(row, "data-verdict", b.verdict);
  setIcon(who.children[0], kindOf(b));
  say(who.children[1], b.name);
  say(who.children[2], `${b.address}${b.forward === "l2" ? "" : " · " + b.forward}${weightText(b)}`);
  attribute(verdict, "class", "verdict is-" + kindOf(b));
  say(verdict, verdictText(b, now));
  say(reason, `${b.reason}${b.text ? ": " + b.text : ""}${b.warning ? `; it refuses the probe: ${b.warning.reason}: ${b.warning.text}` : ""}`);
  say(exo, b.exo_code ? `Exchange Online: ${b.exo_code}` : "");
  say(order, orderText(b));
  say(todo, next.map((text) => `→ ${text}`).join("; "));
  const [days, bad] = certificate(b), p = b.last_probe;
  const values = [days, number(b.flows), perSecond(per), p ? `${number(p.total_ms)} ms` : "–"];
  [...figures.children].forEach((f, i) => say(f.lastChild, values[i]));
  attribute(figures.children[0].lastChild, "class", bad);
  attribute(figures.children[0].lastChild, "title", b.tls ? `${b.tls.subject || ""}, until ${b.tls.not_after || "?"}` : "");
}

function makeTier() {
  const tier = make("section", "tier"), title = make("h3", "", tier);
  for (const name of ["", "tag active", ""]) make("span", name, title);
  make("div", "backends", tier).setAttribute("role", "list");
  return tier;
}

function updateTier(e, tier, now, rates, nextOf) {
  const [name, tag, count] = e.firstChild.children;
  say(name, `Tier ${tier.preference}`);
  say(tag, tier.active ? "active" : "");
  tag.hidden = !tier.active;
  say(count, `${tier.up} of ${serversOf(tier).length} up`);
  each(e.lastChild, serversOf(tier), (b) => b.name, makeBackend, (row, b) => updateBackend(row, b, now, rates.get(b), nextOf(b)));
}

function makeService(s) {
  const card = make("section", "service"), head = make("div", "head", card), left = make("div", "", head);
  make("h2", "", left).id = "service-" + s.name;
  card.setAttribute("aria-labelledby", "service-" + s.name);
  make("p", "vip", left);
  const state = make("p", "state", left);
  icon(state);
  make("span", "", state);
  make("p", "note", left);
  makeChart(make("div", "", head));
  make("div", "tiers", card);
  const more = make("details", "", card);
  make("summary", "", more);
  make("dl", "", more);
  return card;
}

/* What mxlbd finds (core/diagnosis.c): nothing is judged here. */
const findings = (status) => status.diagnosis.filter((f) => f.level !== "note");
const turnedAway = (status) => status.diagnosis.filter((f) => f.code.startsWith("senders_"));
const withNext = (f) => `${f.text}${f.next ? ` → ${f.next}` : ""}`;
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function serviceNote(s, status) {
  const own = findings(status).concat(turnedAway(status)).filter((f) => f.service === s.name && !f.server);
  return own.map((f) => capital(withNext(f).replace(`${s.name}: `, "")) + ".").join(" ");
}

function pair(div, label, value) {
  if (!div.firstChild) make("dt", "", div), make("dd", "", div);
  say(div.firstChild, label);
  say(div.lastChild, value);
}

function sum(backends, of) {
  return backends.reduce((n, b) => n + of(b), 0);
}

function updateDetails(more, s, backends) {
  const drops = Object.entries(s.drops).filter(([, n]) => n), dropped = sum(drops, (d) => d[1]);
  say(more.firstChild, `${plural(sum(backends, (b) => b.new), "connection")}, ${bytes(sum(backends, (b) => b.bytes))} so far; ${plural(dropped, "packet")} dropped`);
  const attack = [["entries evicted", "evicted"], ["flows without entry", "unplaced"], ["without data", "without_data"]].map(([k, field]) => [k, sum(backends, (b) => b.flow_table[field])]).filter(([, n]) => n);
  const rows = [["packets", sum(backends, (b) => b.packets)], ["tier switches", s.counts.tier_switches], ...attack, ...drops.map(([k, n]) => ["dropped: " + k.replaceAll("_", " "), n])];
  each(more.lastChild, rows, (r) => r[0], () => document.createElement("div"), (e, r) => pair(e, r[0], number(r[1])));
}

function updateService(card, s, now, status) {
  const backends = s.tiers.flatMap(serversOf), rates = new Map();
  const nextOf = (b) => status.diagnosis.filter((f) => f.service === s.name && f.server === b.name && f.next).map((f) => f.next);
  for (const b of backends) rates.set(b, rate(`${s.name}/${b.name}`, b.new, now));
  const [head, tiers, more] = card.children, [title, vip, state, note] = head.firstChild.children;
  const [kind, words] = STATES[s.state] || ["unknown", s.state];
  attribute(card, "data-state", s.state);
  say(title, s.name);
  say(vip, s.address.includes(":") ? `[${s.address}]:${s.port}` : `${s.address}:${s.port}`);
  setIcon(state.firstChild, kind);
  attribute(state.lastChild, "class", "is-" + kind);
  say(state.lastChild, s.active_tier === null ? words : `${words}, by tier ${s.active_tier}`);
  say(note, serviceNote(s, status));
  drawChart(head.lastChild.firstChild, s.name, sum(backends, (b) => rates.get(b)));
  each(tiers, s.tiers, (t) => t.preference, makeTier, (e, t) => updateTier(e, t, now, rates, nextOf));
  updateDetails(more, s, backends);
}

/* --- the whole --- */

function summary(status) {
  const all = status.services.flatMap((s) => s.tiers.flatMap(serversOf));
  const worst = findings(status), overridden = status.diagnosis.filter((f) => f.code === "override").length;
  const more = worst.length > 1 ? ` (and ${plural(worst.length - 1, "other finding")})` : "";
  if (!status.services.length && !worst.length) return "No services: this box is the far end of tunnels.";
  if (worst.length) return `${worst[0].level === "critical" ? "" : "Accepting mail; "}${worst[0].text}${more}.`;
  if (overridden) return `Accepting mail; ${overridden} of ${plural(all.length, "server")} ${overridden === 1 ? "is" : "are"} overridden by operators.`;
  return `Accepting mail; all ${plural(all.length, "server")} are up.`;
}

function draw(status) {
  const now = Date.parse(status.time), ports = status.interfaces.map((i) => `${i.name}: XDP ${i.xdp || "unknown"}`);
  say($("node"), `mxlb on ${status.node}`);
  headline = summary(status);
  say($("summary"), headline);
  document.title = `${findings(status).some((f) => f.level === "critical") ? "⚠ " : ""}mxlb · ${status.node}`;
  const problems = findings(status).concat(turnedAway(status)).filter((f) => !status.services.some((s) => s.name === f.service)).map((f) => capital(withNext(f)) + ".");
  $("config-error").hidden = !problems.length;
  say($("config-error"), problems.join(" "));
  each($("services"), status.services, (s) => s.name, makeService, (card, s) => updateService(card, s, now, status));
  say($("footer"), `mxlb ${status.version} · running for ${duration(status.uptime_s)} · configuration of ${day(status.config.loaded_at)} ${clock(status.config.loaded_at)} · ${ports.join(", ")} · probes late by ${status.probing.late_p99_ms} ms at most in 99 of 100`);
}

function subject(e) {
  return [e.service, e.server].filter(Boolean).join("/") || e.interface || "mxlbd";
}

function drawEvents(events) {
  $("events-section").hidden = !events.length;
  each($("events"), events.slice(-EVENTS).reverse(), (e) => `${e.run}-${e.seq}`, () => document.createElement("li"), (li, e) => {
    if (li.firstChild) return;
    const time = make("time", "", li), what = make("div", "", li);
    time.dateTime = e.time;
    time.textContent = `${day(e.time)} ${clock(e.time)}`;
    const change = e.from || e.to ? `: ${e.from ? e.from + " → " : ""}${e.to || ""}` : "";
    what.textContent = `${subject(e)} ${e.event.replace(/^(backend|service)_/, "").replaceAll("_", " ")}${change}`;
    const cause = [e.cause, e.user ? `by ${e.user}` : ""].filter(Boolean).join(", ");
    if (cause) make("small", "", what).textContent = cause;
  });
}

/* --- asking --- */

async function get(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!answer.ok) throw new Error(`mxlbd answered ${answer.status}`);
  return answer.json();
}

let heard = null, headline = "", pastAt = 0;

function lost() {
  document.body.classList.add("stale");
  $("lost").hidden = false;
  say($("lost"), `No connection to mxlbd${heard ? ` since ${heard.toLocaleTimeString("en-GB")}; the data below is outdated` : ""}. The kernel continues to forward.`);
  document.title = "⚠ mxlb · no connection";
  if (heard) say($("summary"), `Last heard: ${headline}`);
}

function found(status, events) {
  draw(status);
  drawEvents(events);
  heard = new Date();
  $("lost").hidden = true;
  document.body.classList.remove("stale");
}

async function ask() {
  if (Date.now() - pastAt > PAST_MS) {
    past = await get("history.json");
    pastAt = Date.now();
  }
  return Promise.all([get("status.json"), get("events.json")]);
}

function tick() {
  ask().then((answers) => found(...answers), lost).finally(() => setTimeout(tick, TICK_MS));
}

document.addEventListener("visibilitychange", () => document.hidden || (pastAt = 0));
tick();
