// What every page does: the clock, the connection, and asking the server again and again.

import { clockTime, setZone, t } from "./format.js";

const RETRY_FIRST_MS = 1000;
const RETRY_LONGEST_MS = 8000;
const ANSWER_DEADLINE_MS = 8000;

const linkState = document.getElementById("link-state");
const linkText = document.getElementById("link-text");
const lost = document.getElementById("lost");
const lostText = document.getElementById("lost-text");

let base = null; // { domain, at, speed }: domain time when the last answer came

/** Domain time now, run on from the last answer. */
export function domainNow() {
  return base ? base.domain + (performance.now() - base.at) * base.speed : Date.now();
}

/** Sets the clock by an answer. */
export function setClock(now, speed, timezone) {
  base = { domain: now, at: performance.now(), speed: speed || 1 };
  setZone(timezone);
  const chip = document.getElementById("speed");
  chip.hidden = base.speed === 1;
  chip.textContent = `×${base.speed}`;
  chip.title = t("speed_title", { n: base.speed });
  tick();
}

function tick() {
  if (!base || linkState.dataset.state === "lost") return;
  document.getElementById("clock").hidden = false;
  document.getElementById("clock-text").textContent = clockTime(domainNow());
}
setInterval(tick, 250);

function connected() {
  if (linkState.dataset.state === "live") return;
  linkState.dataset.state = "live";
  linkText.textContent = t("link_live");
  lost.hidden = true;
  document.body.classList.remove("stale");
}

function disconnected(why) {
  linkState.dataset.state = "lost";
  linkText.textContent = t("link_lost");
  lost.hidden = false;
  lostText.textContent = why;
  document.body.classList.add("stale");
}

/**
 * Asks `address()` every `every` ms while the page is seen, and hands each new answer to `take`. An unchanged answer
 * (304) only moves the clock. When the server does not answer, says so and tries again, ever more slowly.
 */
export function poll(address, every, take) {
  let etag = null;
  let speed = 1;
  let zone = "UTC";
  let wait = RETRY_FIRST_MS;
  let timer = null;
  let waiting = true;

  async function ask() {
    waiting = false;
    const abort = new AbortController();
    const deadline = setTimeout(() => abort.abort(), ANSWER_DEADLINE_MS);
    try {
      const answer = await fetch(address(), {
        cache: "no-store", signal: abort.signal, headers: etag ? { "If-None-Match": etag } : {},
      });
      if (answer.status === 304) {
        const now = Number(answer.headers.get("tidemark-now"));
        if (now) setClock(now, speed, zone);
      } else if (answer.ok) {
        etag = answer.headers.get("etag");
        const body = await answer.json();
        ({ speed = speed, timezone: zone = zone } = body);
        setClock(body.now, speed, zone);
        take(body);
      } else {
        const body = await answer.json().catch(() => ({}));
        throw new Error(body.error ?? t("lost_status", { n: answer.status }));
      }
      connected();
      wait = RETRY_FIRST_MS;
      again(every);
    } catch (error) {
      etag = null;
      const silent = error.name === "AbortError" || error instanceof TypeError;
      disconnected(silent ? t("lost_retry") : error.message);
      if (!silent && !(error instanceof Error)) console.error(error);
      again(wait);
      wait = Math.min(wait * 2, RETRY_LONGEST_MS);
    } finally {
      clearTimeout(deadline);
    }
  }

  function again(ms) {
    waiting = true;
    timer = setTimeout(() => { if (!document.hidden) ask(); }, ms);
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && waiting) { clearTimeout(timer); ask(); }
  });
  ask();
}
