// Charts, drawn as SVG from arrays [time, value, expected, lower, upper, state, forecast, last week].

import { dayAndTime, el, isShare, number, svg, t, timeOfDay, unitText, weekdayTime } from "./format.js";

export const T = 0, VALUE = 1, EXPECTED = 2, LOWER = 3, UPPER = 4, STATE = 5, FORECAST = 6, WEEK = 7;
const MISSING = 2, OUTSIDE = 3, FIRING = 4;
const known = (number) => number !== null && number !== undefined;

/** Smallest and largest of what is drawn, with a margin; counts keep zero in sight when it is near. */
function extent(points, columns, unit) {
  let low = Infinity, high = -Infinity;
  for (const point of points) {
    for (const column of columns) {
      const value = point[column];
      if (known(value)) { low = Math.min(low, value); high = Math.max(high, value); }
    }
  }
  if (low > high) return [0, 1];
  if (low === high) return low === 0 ? [0, 1] : [low - Math.abs(low) * 0.1, high + Math.abs(high) * 0.1];
  if (low >= 0 && low < (high - low) * 0.6) low = 0;
  const top = high + (high - low) * 0.06;
  // A band may reach beyond what a share can be; the axis does not.
  return isShare(unit) ? [Math.max(low, 0), Math.min(top, 1)] : [low, top];
}

/** Stretches of points without a gap in `columns` or in time. */
function runs(points, columns, interval) {
  const out = [];
  let run = [];
  for (const point of points) {
    const there = columns.every((column) => known(point[column]));
    const gap = run.length > 0 && point[T] - run[run.length - 1][T] > interval * 1.5;
    if (run.length && (!there || gap)) { out.push(run); run = []; }
    if (there) run.push(point);
  }
  if (run.length) out.push(run);
  return out;
}

const round = (number) => Math.round(number * 10) / 10;
const line = (run, x, y, column) => run.map((p, i) => `${i ? "L" : "M"}${round(x(p[T]))} ${round(y(p[column]))}`).join("");

function area(run, x, y) {
  const back = [...run].reverse().map((p) => `L${round(x(p[T]))} ${round(y(p[LOWER]))}`).join("");
  return `${line(run, x, y, UPPER)}${back}Z`;
}

/** Stretches of windows in one of `states`, as [from, to]. */
function stretches(points, states, interval) {
  const out = [];
  for (const point of points) {
    if (!states.includes(point[STATE])) continue;
    const last = out[out.length - 1];
    if (last && point[T] - last[1] <= interval * 0.5) last[1] = point[T] + interval;
    else out.push([point[T], point[T] + interval]);
  }
  return out;
}

/** The distance that thinned points really have. */
function step(points, interval) {
  if (points.length < 3) return interval;
  const gaps = points.slice(1).map((p, i) => p[T] - points[i][T]).sort((a, b) => a - b);
  return Math.max(interval, gaps[Math.floor(gaps.length * 0.9)]);
}

/** The layers common to both charts. */
function layers(points, x, y, box, interval, dots) {
  const single = (run) => (run.length === 1 ? [...run, [run[0][T] + interval, ...run[0].slice(1)]] : run);
  const shade = (states, name) => stretches(points, states, interval).map(([from, to]) => {
    const left = Math.max(box.left, x(from));
    return svg("rect", { class: name, x: round(left), y: box.top, width: round(Math.max(1, Math.min(box.right, x(to)) - left)), height: box.bottom - box.top });
  });
  return [
    ...shade([MISSING], "gap"),
    ...shade([FIRING], "fire"),
    ...runs(points, [LOWER, UPPER], interval).map((run) => svg("path", { class: "band", d: area(single(run), x, y) })),
    ...runs(points, [EXPECTED], interval).map((run) => svg("path", { class: "expected", d: line(single(run), x, y, EXPECTED) })),
    ...runs(points, [VALUE], interval).map((run) => svg("path", { class: "value", d: line(single(run), x, y, VALUE) })),
    ...points.filter((p) => known(p[VALUE]) && outsideBand(p)).map((p) =>
      svg("circle", { class: "out", cx: round(x(p[T])), cy: round(y(p[VALUE])), r: dots })),
  ];
}

function outsideBand(point) {
  if (point[STATE] === OUTSIDE) return true;
  return point[STATE] === FIRING && known(point[LOWER]) && (point[VALUE] < point[LOWER] || point[VALUE] > point[UPPER]);
}

/** A card's small chart. Its text is on the card, so it is hidden from readers. */
export function spark(host, points, { interval, unit, now }) {
  const width = Math.max(80, host.clientWidth), height = 64;
  const shown = 2 * 3600 * 1000;
  const last = points.length ? Math.max(points[points.length - 1][T] + interval, now - interval) : now;
  const first = last - shown;
  const seen = points.filter((p) => p[T] >= first);
  const [low, high] = extent(seen, [VALUE, LOWER, UPPER, EXPECTED], unit);
  const box = { left: 0, right: width, top: 3, bottom: height - 3 };
  const x = (at) => ((at - first) / shown) * (width - 4);
  const y = (value) => Math.min(height, Math.max(0, box.bottom - ((value - low) / (high - low)) * (box.bottom - box.top)));
  const tip = [...seen].reverse().find((p) => known(p[VALUE]));
  host.replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true", class: "spark" },
    ...layers(seen, x, y, box, interval, 1.7),
    tip ? svg("circle", { class: "tip", cx: round(x(tip[T])), cy: round(y(tip[VALUE])), r: 2.6 }) : null));
}

/** Round numbers for an axis, about `count` of them. */
function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const unit = [1, 2, 2.5, 5, 10].find((m) => raw <= m * power) * power;
  const out = [];
  for (let value = Math.ceil(low / unit) * unit; value <= high + unit * 1e-9; value += unit) out.push(Math.abs(value) < unit * 1e-9 ? 0 : value);
  return out;
}

const STEPS_MINUTES = [5, 10, 15, 30, 60, 120, 180, 360, 720, 1440];
function timeTicks(from, to, count) {
  const minutes = (to - from) / 60000;
  const unit = (STEPS_MINUTES.find((s) => minutes / s <= count) ?? 1440) * 60000;
  const out = [];
  for (let at = Math.ceil(from / unit) * unit; at <= to; at += unit) out.push(at);
  return out;
}

/** The large chart: axes, band, expectation, forecast, last week, alerts, and the numbers under the pointer. */
export function chart(host, legend, points, options) {
  const { unit = "", interval: sampling, alerts = [], mark = null } = options;
  if (!points.some((p) => known(p[VALUE]) || known(p[EXPECTED]))) {
    host.replaceChildren(el("p", { class: "empty" }, t("chart_empty")));
    legend.replaceChildren();
    return;
  }
  const interval = step(points, sampling);
  const width = Math.max(280, host.clientWidth), height = width < 520 ? 240 : 320;
  const box = { left: 54, right: width - 10, top: 10, bottom: height - 26 };
  const first = points[0][T], last = points[points.length - 1][T] + interval;
  const [low, high] = extent(points, [VALUE, LOWER, UPPER, EXPECTED, WEEK], unit);
  const x = (at) => box.left + ((at - first) / (last - first)) * (box.right - box.left);
  const y = (value) => Math.min(box.bottom, Math.max(box.top, box.bottom - ((value - low) / (high - low)) * (box.bottom - box.top)));
  const long = last - first > 36 * 3600 * 1000;
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "big" });
  root.append(
    ...ticks(low, high, 5).flatMap((value) => [
      svg("line", { class: "grid", x1: box.left, x2: box.right, y1: round(y(value)), y2: round(y(value)) }),
      svg("text", { class: "axis", x: box.left - 8, y: round(y(value)) + 4, "text-anchor": "end" }, number(value, unit)),
    ]),
    ...timeTicks(first, last, width < 520 ? 4 : 8).map((at) =>
      svg("text", { class: "axis", x: round(x(at)), y: height - 8, "text-anchor": "middle" }, long ? weekdayTime(at) : timeOfDay(at))),
    ...runs(points, [WEEK], interval).map((run) => svg("path", { class: "week", d: line(run, x, y, WEEK) })),
    ...layers(points, x, y, box, interval, 2.4),
    ...runs(points, [FORECAST], interval).map((run) => svg("path", { class: "forecast", d: line(run, x, y, FORECAST) })),
    ...alerts.filter((a) => a.starts_at >= first && a.starts_at <= last).map((a) =>
      svg("line", { class: "alert-mark", x1: round(x(a.starts_at)), x2: round(x(a.starts_at)), y1: box.top, y2: box.bottom })),
    mark && mark >= first && mark <= last ? svg("line", { class: "alert-mark", x1: round(x(mark)), x2: round(x(mark)), y1: box.top, y2: box.bottom }) : "",
  );
  const tip = el("div", { class: "tooltip", hidden: true });
  host.replaceChildren(root, tip);
  hover(host, root, tip, points, { x, y, box, unit });
  drawLegend(legend, points, alerts.length > 0 || mark);
}

function hover(host, root, tip, points, { x, y, box, unit }) {
  const guide = svg("line", { class: "guide", y1: box.top, y2: box.bottom, visibility: "hidden" });
  const dot = svg("circle", { class: "tip", r: 3.5, visibility: "hidden" });
  root.append(guide, dot);
  const hide = () => { tip.hidden = true; guide.setAttribute("visibility", "hidden"); dot.setAttribute("visibility", "hidden"); };
  const show = (event) => {
    const left = event.clientX - root.getBoundingClientRect().left;
    const nearest = points.reduce((best, p) => (Math.abs(x(p[T]) - left) < Math.abs(x(best[T]) - left) ? p : best));
    const at = round(x(nearest[T]));
    guide.setAttribute("x1", at); guide.setAttribute("x2", at); guide.setAttribute("visibility", "visible");
    if (known(nearest[VALUE])) {
      dot.setAttribute("cx", at); dot.setAttribute("cy", round(y(nearest[VALUE]))); dot.setAttribute("visibility", "visible");
    } else dot.setAttribute("visibility", "hidden");
    tip.replaceChildren(el("b", {}, dayAndTime(nearest[T])), el("dl", {}, ...tooltipRows(nearest, unit)));
    tip.hidden = false;
    const room = host.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(0, at + 14 > room ? at - tip.offsetWidth - 14 : at + 14)}px`;
  };
  root.addEventListener("pointermove", show);
  root.addEventListener("pointerdown", show);
  root.addEventListener("pointerleave", hide);
}

function tooltipRows(point, unit) {
  const rows = [
    ["value", known(point[VALUE]) ? number(point[VALUE], unit) : t("state_missing")],
    ["expected", number(point[EXPECTED], unit)],
    ["band", known(point[LOWER]) ? `${number(point[LOWER], unit)} … ${number(point[UPPER], unit)}` : null],
    ["forecast", known(point[FORECAST]) ? number(point[FORECAST], unit) : null],
    ["last_week", known(point[WEEK]) ? number(point[WEEK], unit) : null],
  ];
  return rows.filter(([, text]) => text !== null).map(([key, text]) => el("div", {}, el("dt", {}, t(key)), el("dd", {}, text, key === "value" && unitText(unit) && known(point[VALUE]) ? ` ${unitText(unit)}` : "")));
}

function drawLegend(host, points, alerted) {
  const entries = [["value", VALUE], ["expected", EXPECTED], ["band", LOWER], ["forecast", FORECAST], ["last_week", WEEK]]
    .filter(([, column]) => points.some((p) => known(p[column])))
    .map(([key]) => el("span", { class: `key key-${key}` }, el("i", { "aria-hidden": "true" }), t(key)));
  const has = (state) => points.some((p) => p[STATE] === state);
  if (has(FIRING)) entries.push(el("span", { class: "key key-fire" }, el("i", { "aria-hidden": "true" }), t("state_firing")));
  if (has(MISSING)) entries.push(el("span", { class: "key key-gap" }, el("i", { "aria-hidden": "true" }), t("state_missing")));
  if (alerted) entries.push(el("span", { class: "key key-alert" }, el("i", { "aria-hidden": "true" }), t("alert_begins")));
  host.replaceChildren(...entries);
}

/** Draws again when the room changes. */
export function redrawOnResize(host, draw) {
  let width = host.clientWidth;
  new ResizeObserver(() => {
    if (host.clientWidth !== width) { width = host.clientWidth; draw(); }
  }).observe(host);
}
