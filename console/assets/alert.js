// One alert: its chart, and the page again when the alert moves on.

import { chart, redrawOnResize } from "./chart.js";
import { poll } from "./page.js";
import { drawShort } from "./rows.js";

const page = document.getElementById("alert");
const host = document.getElementById("chart");
const legend = document.getElementById("legend");
let shown = null;
let stamp = null;

function draw() {
  if (!shown || host.matches(":hover")) return;
  chart(host, legend, shown.points, { unit: shown.row.unit, interval: shown.interval_ms, mark: shown.row.starts_at });
}

/** What the words on the page depend on. */
const stampOf = (alert) => JSON.stringify([alert.row.status, alert.row.severity, alert.transitions.length, alert.deliveries, alert.row.suppressed_by, alert.row.acknowledged]);

/** Takes the words from a fresh copy of this page. */
async function refresh() {
  const answer = await fetch(location.href, { cache: "no-store" });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of ["live", "history"]) {
    const next = fresh.getElementById(part);
    if (next) document.getElementById(part).replaceWith(next);
  }
}

function take(alert) {
  const next = stampOf(alert);
  if (stamp !== null && stamp !== next) refresh().catch(() => { stamp = null; });
  stamp = next;
  shown = alert;
  drawShort(alert.short, alert.now);
  draw();
}

redrawOnResize(host, draw);
host.addEventListener("pointerleave", draw);
poll(() => `/api/v1/console/alerts/${page.dataset.id}`, 2000, take);
