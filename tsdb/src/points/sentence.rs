//! One short English sentence of an alert, for annotations in a dashboard. The notifier writes its own, longer
//! messages in the reader's language.

use model::{AlertTransition, ReasonCode, Transition};

/// What happened, in a sentence without a full stop.
pub(super) fn of(alert: &AlertTransition) -> String {
    let subject = subject(alert);
    if alert.transition == Transition::Resolved {
        return format!("{subject} is back to normal{}", now(alert));
    }
    match alert.reason.code {
        ReasonCode::NoData => format!("{subject} has no data{}", source_error(alert)),
        ReasonCode::AboveBand => format!("{subject} is higher than expected{}{}", now(alert), against(alert)),
        ReasonCode::BelowBand => format!("{subject} is lower than expected{}{}", now(alert), against(alert)),
        ReasonCode::AboveThreshold => format!("{subject} is above its limit{}{}", now(alert), against(alert)),
        ReasonCode::BelowThreshold => format!("{subject} is below its limit{}{}", now(alert), against(alert)),
        ReasonCode::DriftUp => format!("{subject} is drifting up{}{}", now(alert), against(alert)),
        ReasonCode::DriftDown => format!("{subject} is drifting down{}{}", now(alert), against(alert)),
        ReasonCode::Normal | ReasonCode::Learning => format!("{subject} is firing{}", now(alert)),
    }
}

fn subject(alert: &AlertTransition) -> String {
    let title = if alert.info.title.is_empty() { &*alert.series.metric } else { &alert.info.title };
    let labels: Vec<_> = alert.series.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if labels.is_empty() { title.to_owned() } else { format!("{title} ({})", labels.join(", ")) }
}

fn now(alert: &AlertTransition) -> String {
    let unit = if alert.info.unit.is_empty() { String::new() } else { format!(" {}", alert.info.unit) };
    alert.value.map_or_else(String::new, |value| format!(": {}{unit}", number(value)))
}

fn against(alert: &AlertTransition) -> String {
    let mut parts = Vec::new();
    if let Some(expected) = alert.expected {
        parts.push(format!("expected {}", number(expected)));
    }
    match (alert.lower, alert.upper) {
        (Some(lower), Some(upper)) => parts.push(format!("band {} to {}", number(lower), number(upper))),
        (Some(lower), None) => parts.push(format!("not below {}", number(lower))),
        (None, Some(upper)) => parts.push(format!("not above {}", number(upper))),
        (None, None) => {}
    }
    if let Some(deviation) = alert.deviation_pct {
        parts.push(format!("{deviation:+.0} %"));
    }
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

fn source_error(alert: &AlertTransition) -> String {
    match alert.reason.message.as_deref().map(str::trim) {
        Some(message) if !message.is_empty() => format!(": {}", first_line(message)),
        _ => String::new(),
    }
}

/// A source's error may be pages long; an annotation shows its first 200 characters.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().chars().take(200).collect()
}

/// At most four significant digits for what is not whole, whole numbers as they are.
fn number(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 {
        return format!("{value:.0}");
    }
    if value.abs() >= 1e15 || value.abs() < 1e-4 {
        return format!("{value:.3e}");
    }
    let digits_before = value.abs().log10().floor() as i32 + 1;
    let decimals = usize::try_from((4 - digits_before).max(0)).unwrap_or(0);
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_short_and_exact_where_they_are_whole() {
        for (value, expected) in [
            (0.0, "0"),
            (-3.0, "-3"),
            (1_234_567.0, "1234567"),
            (1234.567, "1235"),
            (0.98765, "0.9877"),
            (12.5, "12.5"),
            (99.999, "100"),
            (0.00001234, "1.234e-5"),
            (1e300, "1.000e300"),
        ] {
            assert_eq!(number(value), expected);
        }
    }
}
