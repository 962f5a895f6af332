// Words, numbers, times and elements. Elements are built by hand: no text ever becomes markup.

const texts = JSON.parse(document.getElementById("texts").textContent);
export const lang = document.body.dataset.lang;
const locale = lang === "zh" ? "zh-CN" : "en-GB";
let zone = "UTC";

/** The text of a key, with {name} replaced. */
export function t(key, vars = {}) {
  const text = texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => vars[name] ?? whole);
}

/** A bilingual text in the page's language. */
export const say = (both) => (both && both[lang]) || "";

const SVG = "http://www.w3.org/2000/svg";

/** An element: attributes by name, `null` and `false` left out, children as nodes or text. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same in SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Sets the zone in which times are shown; an unknown one is ignored. */
export function setZone(name) {
  if (name === zone) return;
  try {
    new Intl.DateTimeFormat(locale, { timeZone: name });
    zone = name;
    formats.clear();
  } catch { /* The zone is newer than this browser: times stay in UTC. */ }
}

const formats = new Map();
function format(kind, options) {
  if (!formats.has(kind)) formats.set(kind, new Intl.DateTimeFormat(locale, { timeZone: zone, hourCycle: "h23", ...options }));
  return formats.get(kind);
}

export const clockTime = (ms) =>
  format("clock", { weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(ms);
export const timeOfDay = (ms) => format("time", { hour: "2-digit", minute: "2-digit" }).format(ms);
const dayOf = (ms) => format("day", { day: "numeric", month: "short" }).format(ms);
export const dayAndTime = (ms) => `${dayOf(ms)} ${timeOfDay(ms)}`;
/** The time of day, with the date when it is not today. */
export const shortTime = (ms, now) => (dayOf(ms) === dayOf(now) ? timeOfDay(ms) : dayAndTime(ms));
export const weekdayTime = (ms) =>
  format("weekday", { weekday: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }).format(ms);

/** A stretch of time: the two largest units. */
export function span(ms) {
  const minutes = Math.max(0, Math.round(ms / 60000));
  const [d, h, m] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24, minutes % 60];
  if (minutes === 0 && ms > 0) return t("span_s", { n: Math.max(1, Math.round(ms / 1000)) });
  const parts = [];
  if (d) parts.push(t("span_d", { n: d }));
  if (h) parts.push(t("span_h", { n: h }));
  if (m && !d) parts.push(t("span_m", { n: m }));
  return parts.join(" ") || t("span_m", { n: 0 });
}

/** Shares are kept as 0..1 and shown as percentages; currency signs stand in front. The same rules as in `format.rs`. */
const SHARES = ["ratio", "percentunit", "rate"], PERCENT = ["%", "percent"], SIGNS = ["$", "¥", "€", "£"];

export const isShare = (unit) => SHARES.includes(unit);

/** A number for people: thousands separated, three significant digits below 1,000. */
export function number(value, unit = "") {
  if (value === null || value === undefined) return "–";
  if (isShare(unit)) return `${plain(value * 100)}%`;
  if (PERCENT.includes(unit)) return `${plain(value)}%`;
  if (SIGNS.includes(unit)) return value < 0 ? `−${unit}${plain(-value)}` : `${unit}${plain(value)}`;
  return plain(value);
}

function plain(value) {
  const size = Math.abs(value);
  if (size >= 1e15 || (size !== 0 && size < 1e-4)) return value.toExponential(2).replace("-", "−");
  const whole = Number.isInteger(value);
  const decimals = whole || size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toLocaleString(locale, { maximumFractionDigits: decimals }).replace("-", "−");
}

/** The unit to stand behind a number, when it does not stand in it already. */
export const unitText = (unit) => ([...SHARES, ...PERCENT, ...SIGNS].includes(unit) ? "" : unit);

/** A deviation in per cent, signed. */
export function deviation(pct) {
  if (pct === null || pct === undefined) return "";
  const size = Math.abs(pct);
  const text = size >= 1000 ? `${plain(size / 100 + 1)}×` : `${plain(Number(size.toPrecision(2)))}%`;
  if (size >= 1000 && pct > 0) return text;
  return `${pct < 0 ? "−" : "+"}${text}`;
}

/** Bytes, binary units. */
export function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (count >= 1024 && at < units.length - 1) { count /= 1024; at += 1; }
  return `${at === 0 ? count : count.toPrecision(3)} ${units[at]}`;
}

/** Label chips: the value, with the name for those who ask. */
export const labelChips = (labels) =>
  Object.entries(labels).map(([name, value]) => el("span", { class: "chip", title: `${name}=${value}` }, value));

const ICONS = {
  normal: "M4 8.500l2.600 2.600L12 5.500",
  learning: "M8 4v4l2.500 1.500",
  missing: "M4.500 8h7",
  outside: "M8 4v5M8 11.600v.1",
  firing: "M8 4v5M8 11.600v.1",
  pending: "M8 4v4l2.500 1.500",
  resolved: "M4 8.500l2.600 2.600L12 5.500",
};

/** A state as icon and word: never by colour alone. */
export function stateBadge(state, severity) {
  return el("span", { class: "state", "data-state": state },
    svg("svg", { viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true" },
      svg("circle", { cx: 8, cy: 8, r: 6.75 }), svg("path", { d: ICONS[state] ?? ICONS.normal })),
    t(`state_${state}`), severity ? severityBadge(severity) : null);
}

export const severityBadge = (severity) =>
  el("span", { class: "sev", "data-sev": severity, title: t(`severity_${severity.toLowerCase()}`) }, severity);

/** Replaces the children of a node only when they would look different. */
export function update(node, ...children) {
  const next = el("div", {}, ...children);
  if (node.innerHTML !== next.innerHTML) node.replaceChildren(...next.childNodes);
}
