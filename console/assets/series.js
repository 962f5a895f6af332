// One series: its course in its band, its numbers, its alerts.

import { deviation, el, number, shortTime, stateBadge, t, unitText, update } from "./format.js";
import { chart, redrawOnResize } from "./chart.js";
import { poll } from "./page.js";
import { alertRow, drawShort } from "./rows.js";

const page = document.getElementById("series");
const host = document.getElementById("chart");
const legend = document.getElementById("legend");
const { id, span } = page.dataset;
let shown = null;

function draw() {
  if (!shown || host.matches(":hover")) return;
  chart(host, legend, shown.card.points, { unit: shown.card.unit, interval: shown.card.interval_ms, alerts: shown.alerts });
}

function take(detail) {
  shown = detail;
  drawShort(detail.short, detail.now);
  const { card } = detail;
  update(document.getElementById("series-state"), stateBadge(card.state, card.severity));
  const withUnit = (value) => (value === null ? "–" : `${number(value, card.unit)} ${unitText(card.unit)}`.trim());
  const facts = [
    ["value", withUnit(card.value)],
    ["expected", withUnit(card.expected)],
    ["band", card.lower === null ? "–" : `${number(card.lower, card.unit)} … ${number(card.upper, card.unit)}`],
    ["deviation", deviation(card.deviation_pct) || "–"],
    ["score_of_limit", number(card.score)],
    ["in_state_since", card.since ? shortTime(card.since, detail.now) : "–"],
  ];
  update(document.getElementById("series-facts"), ...facts.map(([key, text]) => el("div", {}, el("dt", {}, t(key)), el("dd", {}, text))));
  const rows = detail.alerts.map((alert) => alertRow(alert, detail.now));
  update(document.getElementById("series-alerts"), ...(rows.length ? rows : [el("li", { class: "empty" }, t("alerts_none_here"))]));
  draw();
}

redrawOnResize(host, draw);
host.addEventListener("pointerleave", draw);
poll(() => `/api/v1/console/series/${id}?span=${span}`, span === "3h" ? 1000 : 5000, take);
