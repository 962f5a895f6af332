// The overview: cards, alerts, messages, health and, in the demo, its story.

import { bytes, el, labelChips, number, say, shortTime, span, stateBadge, svg, t, update } from "./format.js";
import { redrawOnResize, spark, T } from "./chart.js";
import { poll } from "./page.js";
import { against, alertRow, drawShort, messageKey, messageRow, valueWithUnit } from "./rows.js";

const $ = (id) => document.getElementById(id);
const KEPT_MS = 2.2 * 3600 * 1000;
const STATES = ["firing", "outside", "missing", "learning", "normal"];

const cards = new Map(); // id -> { node, chart, card, points }
let newest = null; // time of the newest point we hold
let lastNow = 0;
let filter = null;
let words = "";
let shown = null; // the last overview

/* ---- taking an answer ---- */

function take(overview) {
  if (overview.now < lastNow - 60000) { newest = null; cards.forEach((entry) => { entry.points = []; }); }
  lastNow = overview.now;
  shown = overview;
  $("place").textContent = say(overview.title);
  document.title = title(overview);
  drawShort(overview.short, overview.now);
  drawCards(overview);
  drawFilters(overview);
  drawAlerts(overview);
  drawMessages(overview);
  drawHealth(overview);
  drawStory(overview);
  document.body.classList.toggle("has-firing", overview.metrics.some((card) => card.state === "firing"));
}

function title(overview) {
  const firing = overview.alerts.filter((alert) => alert.status === "firing").length;
  return `${firing ? `(${firing}) ` : ""}${t("overview")} · Tidemark`;
}

/** The points we hold and those that came, without doubles. */
function merge(old, card, after) {
  if (after === null) return card.points;
  const kept = old.filter((p) => p[T] <= after && p[T] > lastNow - KEPT_MS);
  return kept.concat(card.points);
}

/* ---- cards ---- */

function drawCards(overview) {
  const host = $("cards");
  if (host.getAttribute("aria-busy") === "true") { host.replaceChildren(); host.removeAttribute("aria-busy"); }
  const seen = new Set();
  for (const card of overview.metrics) {
    seen.add(card.id);
    const entry = cards.get(card.id) ?? newCard(card);
    entry.points = merge(entry.points, card, overview.after);
    entry.card = card;
    fillCard(entry);
    const last = entry.points[entry.points.length - 1];
    if (last) newest = Math.max(newest ?? 0, last[T]);
  }
  for (const [id, entry] of cards) if (!seen.has(id)) { entry.node.remove(); cards.delete(id); }
  overview.metrics.forEach((card, at) => {
    const node = cards.get(card.id).node;
    if (host.children[at] !== node) host.insertBefore(node, host.children[at] ?? null);
  });
  const left = overview.series_total - overview.metrics.length;
  $("cards-more").hidden = left <= 0;
  $("cards-more").textContent = t("cards_more", { n: left });
  applyFilter();
  for (const entry of cards.values()) drawSpark(entry);
}

function newCard(card) {
  const parts = { head: el("span", { class: "card-head" }), numbers: el("span", { class: "card-numbers" }), chart: el("span", { class: "card-chart" }), foot: el("span", { class: "card-foot" }) };
  const node = el("a", { class: "card", href: `/series/${card.id}` }, parts.head, parts.numbers, parts.chart, parts.foot);
  const entry = { node, parts, card, points: [] };
  cards.set(card.id, entry);
  redrawOnResize(parts.chart, () => drawSpark(entry));
  return entry;
}

function fillCard({ node, parts, card }) {
  node.dataset.state = card.state;
  update(parts.head, el("span", { class: "card-title" }, el("b", {}, card.title), ...labelChips(card.labels)), stateBadge(card.state, card.severity));
  update(parts.numbers, el("span", { class: "big-number" }, ...valueWithUnit(card.value, card.unit)), el("span", { class: "against" }, against(card)));
  const since = card.since && card.state !== "normal" ? t("since", { at: shortTime(card.since, lastNow) }) : null;
  update(parts.foot, el("span", { class: "metric-name" }, card.metric), since ? el("span", {}, since) : null);
}

function drawSpark(entry) {
  if (!entry.node.hidden) spark(entry.parts.chart, entry.points, { interval: entry.card.interval_ms, unit: entry.card.unit, now: lastNow });
}

/* ---- filters ---- */

function drawFilters(overview) {
  const counts = Object.fromEntries(STATES.map((state) => [state, 0]));
  for (const card of overview.metrics) counts[card.state] += 1;
  if (filter && !counts[filter] && filter !== "firing") filter = null;
  const button = (state, count, text) =>
    el("button", { type: "button", class: "filter", "data-state": state ?? "all", "data-filter": state ?? "", "aria-pressed": String(filter === state), disabled: count === 0 && filter !== state },
      state ? el("i", { class: "dot", "aria-hidden": "true" }) : null, text, el("b", {}, String(count)));
  const focused = document.activeElement?.dataset?.filter;
  update($("filters"), button(null, overview.series_total, t("all")), ...STATES.map((state) => button(state, counts[state], t(`state_${state}`))));
  if (focused !== undefined) $("filters").querySelector(`[data-filter="${focused}"]`)?.focus();
}

function applyFilter() {
  let visible = 0;
  for (const { node, card } of cards.values()) {
    const text = `${card.title} ${card.metric} ${card.owner} ${Object.entries(card.labels).flat().join(" ")}`.toLowerCase();
    const show = (!filter || card.state === filter) && words.split(/\s+/).every((word) => text.includes(word));
    node.hidden = !show;
    visible += show ? 1 : 0;
  }
  const empty = $("cards-empty");
  empty.hidden = visible > 0;
  empty.textContent = cards.size === 0 ? t("cards_none") : t("cards_filtered");
}

function refilter() {
  if (!shown) return;
  drawFilters(shown);
  applyFilter();
  cards.forEach(drawSpark);
}

$("filters").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  filter = button.dataset.filter === filter ? null : button.dataset.filter || null;
  refilter();
});
$("search").addEventListener("input", (event) => { words = event.target.value.trim().toLowerCase(); refilter(); });

/* ---- alerts, messages ---- */

function drawAlerts(overview) {
  const firing = overview.alerts.filter((alert) => alert.status !== "resolved");
  const over = overview.alerts.filter((alert) => alert.status === "resolved");
  firing.sort((a, b) => a.severity.localeCompare(b.severity) || b.starts_at - a.starts_at);
  $("alerts-count").textContent = firing.length ? t("firing_count", { n: firing.length }) : "";
  const rows = [...firing, ...over].map((alert) => alertRow(alert, overview.now));
  update($("alerts-list"), ...(rows.length ? rows : [el("li", { class: "empty" }, t("alerts_none"))]));
}

function drawMessages(overview) {
  const list = $("messages-list");
  const open = new Set([...list.querySelectorAll("details[open]")].map((node) => node.dataset.key));
  $("messages-count").textContent = overview.messages.length ? String(overview.messages.length) : "";
  const rows = overview.messages.map((message) => messageRow(message, overview.now, open.has(messageKey(message))));
  update(list, ...(rows.length ? rows : [el("li", { class: "empty" }, t("messages_none"))]));
}

/* ---- health ---- */

function drawHealth(overview) {
  const health = overview.health;
  const bad = [...health.samplers, ...health.consumers].filter((row) => !row.ok).length + health.channels.filter((row) => row.error).length;
  update($("health-state"), el("span", { class: "state", "data-state": bad ? "missing" : "normal" }, bad ? t("health_bad", { n: bad }) : t("health_good")));
  update($("health-body"),
    table(t("samplers"), ["sampler", "source", "last_window", "took", "rows", "missed", "how_it_stands"],
      health.samplers.map((row) => [row.name, row.source, row.last_tick ? shortTime(row.last_tick, overview.now) : "–", num(`${row.duration_ms} ms`), num(number(row.rows)), num(number(row.missed)),
        standing(row.ok, row.ok ? t("ok") : row.last_tick === null && !row.error ? t("waiting") : `${t("failing", { n: row.failures })} ${row.error}`)])),
    table(t("consumers"), ["consumer", "lag", "how_it_stands"],
      health.consumers.map((row) => [row.name, num(row.lag_entries !== null ? t("entries", { n: number(row.lag_entries) }) : bytes(row.lag_bytes)), standing(row.ok, consumerWords(row, overview.now))])),
    table(t("channels"), ["channel", "delivered", "queued", "failed", "how_it_stands"],
      health.channels.map((row) => [row.name, num(number(row.delivered)), num(number(row.queued)), num(number(row.failed)), standing(!row.error, row.error || t("ok"))])),
    el("p", { class: "muted small about-line" },
      [`Tidemark ${health.version}`, t("uptime", { span: span(health.uptime_secs * 1000) }), t("revision", { id: health.config_revision }),
        health.log_max_bytes ? t("log_of", { used: bytes(health.log_bytes), max: bytes(health.log_max_bytes) }) : t("log_size", { used: bytes(health.log_bytes) })].join(" · ")));
}

const num = (text) => ({ num: true, content: text });
const standing = (ok, text) => ({ content: el("span", { class: "standing", "data-ok": String(ok) }, el("i", { class: "dot", "aria-hidden": "true" }), text) });

function consumerWords({ ok, detail, store }, now) {
  if (!store) return detail || t(ok ? "ok" : "behind");
  const kind = store.kind === "copying" && store.at === undefined ? "copying_begun" : store.kind;
  return t(`store_${kind}`, { why: detail, from: store.from, at: store.at === undefined ? "" : shortTime(store.at, now) });
}

function table(caption, columns, rows) {
  if (!rows.length) return null;
  const numeric = (at) => rows[0][at]?.num === true;
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    el("table", { class: "table" }, el("caption", {}, caption),
      el("thead", {}, el("tr", {}, ...columns.map((key, at) => el("th", { scope: "col", class: numeric(at) ? "num" : null }, t(key))))),
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((cell, at) =>
        el(at === 0 ? "th" : "td", { class: cell.num ? "num" : null, scope: at === 0 ? "row" : null }, cell.content ?? cell)))))));
}

/* ---- the demo's story ---- */

const STEP_ICONS = { planned: "M8 4v4l2.500 1.500", now: "M2.500 8.500h2.500l1.500-4 2.500 7 1.500-3h3", past: "M4 8.500l2.600 2.600L12 5.500", missed: "M5 5l6 6M11 5l-6 6" };

function drawStory(overview) {
  const story = overview.story;
  $("story").hidden = !story;
  if (!story) return;
  $("story-summary").textContent = say(story.summary);
  update($("story-steps"), ...story.anomalies.map((step) => storyStep(step, overview)));
}

function storyStep(step, { now, speed }) {
  const unseen = step.phase === "past" && step.detected_at === null;
  const title = step.alert ? el("a", { href: `/alerts/${step.alert}` }, say(step.title)) : el("span", {}, say(step.title));
  return el("li", { class: "step", "data-phase": step.phase, "data-found": String(step.detected_at !== null) },
    el("span", { class: "step-icon" }, svg("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, svg("path", { d: STEP_ICONS[unseen ? "missed" : step.phase] }))),
    el("span", { class: "step-text" }, el("b", {}, title),
      el("span", { class: "step-time" }, `${t(`phase_${step.phase}`)} · ${shortTime(step.starts_at, now)}–${shortTime(step.ends_at, now)}`),
      ...storyOutcome(step, now, speed).map((text) => el("span", { class: "step-outcome" }, text))));
}

function storyOutcome(step, now, speed) {
  if (step.phase === "planned") return [t("story_in", { span: span((step.starts_at - now) / speed) })];
  if (step.detected_at === null) return [t(step.phase === "now" ? "story_watching" : "story_missed")];
  const out = [t("story_detected", { span: span(step.detected_at - step.starts_at) })];
  if (step.notified) out[0] += ` · ${t("story_notified")}`;
  out.push(step.resolved_at !== null ? t("story_resolved", { at: shortTime(step.resolved_at, now) }) : t("story_firing"));
  return out;
}

/* ---- go ---- */

poll(() => `/api/v1/console/overview${newest ? `?after=${newest}` : ""}`, 1000, take);
