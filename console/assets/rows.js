// Rows of lists that more than one page shows.

import { deviation, el, labelChips, number, say, severityBadge, shortTime, span, stateBadge, svg, t, unitText } from "./format.js";

/** Who answered, where no store that could be read has everything. */
export function drawShort(short, now) {
  const words = [];
  if (short && short.until !== null) words.push(t("short_behind", { replica: short.replica, at: shortTime(short.until, now), span: span(now - short.until) }));
  if (short?.incomplete) words.push(t("short_incomplete", { replica: short.replica }));
  if (short && !words.length) words.push(t("short_catching_up", { replica: short.replica }));
  const notice = document.getElementById("short");
  notice.hidden = !words.length;
  notice.textContent = words.join(" ");
}

/** Why nobody is told, such as `no_channel:night`, in words. */
function untold(reason) {
  const [code, ...rest] = reason.split(":");
  const text = t(`untold_${code}`);
  const words = text === `untold_${code}` ? code : text;
  return rest.length ? `${words}: ${rest.join(":")}` : words;
}

/** One alert: severity, title, sentence, times; the whole row leads to its page. */
export function alertRow(alert, now) {
  const end = alert.ended_at ?? now;
  const lasted = span(Math.max(0, end - alert.starts_at));
  const when = alert.status === "resolved"
    ? t("alert_lasted", { from: shortTime(alert.starts_at, now), span: lasted })
    : t("alert_since", { from: shortTime(alert.starts_at, now), span: lasted });
  return el("li", { class: "alert-row", "data-status": alert.status },
    el("a", { href: `/alerts/${alert.id}` },
      el("span", { class: "row-head" },
        severityBadge(alert.severity), el("b", {}, alert.title), ...labelChips(alert.labels), el("span", { class: "grow" }),
        stateBadge(alert.status)),
      el("span", { class: "row-text" }, say(alert.sentence)),
      el("span", { class: "row-foot" }, when,
        alert.acknowledged ? el("span", { class: "chip" }, `${t("acknowledged_by")}: ${alert.acknowledged.by}`) : null,
        alert.suppressed_by ? el("span", { class: "chip" }, `${t("suppressed")}: ${untold(alert.suppressed_by)}`) : null)));
}

const CHANNEL_ICONS = {
  email: "M2 4h12v8.500H2zM2.300 4.400L8 9l5.700-4.600",
  webhook: "M6 3.500L2.500 8 6 12.500M10 3.500L13.500 8 10 12.500",
};

/** One message: subject, channel, and its text on request. */
export function messageRow(message, now, open) {
  const icon = svg("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true", class: "channel-icon" },
    svg("path", { d: CHANNEL_ICONS[message.channel] ?? CHANNEL_ICONS.webhook }));
  const head = [
    icon,
    el("span", { class: "row-main" },
      el("span", { class: "subject" }, message.subject),
      el("span", { class: "row-foot" },
        el("span", { class: "delivery", "data-status": message.status }, t(`message_${message.status}`)),
        ` ${shortTime(message.at, now)} · ${t(`channel_${message.channel}`)} → ${message.receiver}`)),
  ];
  const content = message.body || message.detail || message.alert
    ? el("details", { "data-key": messageKey(message), open },
      el("summary", {}, ...head),
      message.body ? el("pre", { class: "body" }, message.body) : null,
      message.detail ? el("p", { class: "muted small" }, message.detail) : null,
      message.alert ? el("p", { class: "small" }, el("a", { href: `/alerts/${message.alert}` }, t("open_alert"))) : null)
    : el("div", { class: "plain" }, ...head);
  return el("li", { class: "message-row", "data-kind": message.kind }, content);
}

export const messageKey = (message) => `${message.at}/${message.channel}/${message.receiver}/${message.subject}`;

/** A card's second line: the deviation in words and the expectation. */
export function against(card) {
  if (card.state === "missing") return t("card_missing");
  if (card.expected === null) return t("card_learning");
  const expected = number(card.expected, card.unit);
  if (card.deviation_pct === null) return t("card_expected", { expected });
  return el("span", {}, el("b", { class: "deviation" }, deviation(card.deviation_pct)), ` ${t("card_against", { expected })}`);
}

export const valueWithUnit = (value, unit) => [number(value, unit), unitText(unit) && value !== null ? el("small", {}, ` ${unitText(unit)}`) : null];
