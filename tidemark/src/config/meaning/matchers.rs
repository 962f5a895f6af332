//! Matchers of routes and inhibition rules that no alert can ever fulfil: a misspelt metric, severity or label.

use std::collections::BTreeSet;

use detector::consumer::COLLECTION_METRIC;
use model::Severity;
use notifier::matcher::{LabelMatcher, SEVERITY_LABEL, parse_matchers};

use super::Checker;
use crate::config::finding::Finding;
use crate::config::nearest::hint;
use crate::config::tree::{Content, Node};

/// The keys that hold matchers.
const KEYS: [&str; 3] = ["matchers", "source_matchers", "target_matchers"];

pub(super) fn check(checker: &mut Checker<'_>) {
    let known = Known::of(checker);
    if known.metrics.is_empty() {
        return;
    }
    let mut nodes = Vec::new();
    checker.root.get("route").into_iter().for_each(|route| collect(route, &mut nodes));
    checker.items("inhibit_rules").iter().for_each(|rule| collect(rule, &mut nodes));
    for node in nodes {
        let parsed = node.text().map(parse_matchers).and_then(Result::ok).unwrap_or_default();
        for why in parsed.iter().filter_map(|matcher| known.never(matcher)) {
            checker.findings.push(Finding::warning(node.place, why));
        }
    }
}

/// What alerts of this configuration can carry.
struct Known {
    metrics: Vec<String>,
    labels: BTreeSet<String>,
}

impl Known {
    fn of(checker: &Checker<'_>) -> Self {
        let mut labels: BTreeSet<String> = ["alertname", "metric", "owner"].map(str::to_owned).into();
        for item in checker.items("metrics") {
            let listed = item.get("labels").map_or(&[][..], Node::items).iter().filter_map(Node::text);
            labels.extend(listed.map(str::to_owned));
            let fixed = item.get("static_labels").map_or(&[][..], Node::entries);
            labels.extend(fixed.iter().map(|(key, _)| key.text.clone()));
        }
        Self { metrics: super::metrics::full_names(checker), labels }
    }

    /// Why no alert can fulfil a matcher; `None` when one can.
    fn never(&self, matcher: &LabelMatcher) -> Option<String> {
        let severities = [Severity::P0, Severity::P1, Severity::P2].map(Severity::as_str);
        let metrics: Vec<&str> = self.metrics.iter().map(String::as_str).collect();
        let (what, values): (_, &[&str]) = match matcher.name() {
            "metric" | "alertname" if matcher.accepts(COLLECTION_METRIC) => return None,
            "metric" | "alertname" => ("metric", &metrics),
            SEVERITY_LABEL if !self.labels.contains(SEVERITY_LABEL) => ("severity", &severities),
            name if !self.labels.contains(name) && !matcher.accepts("") => {
                let labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
                return Some(format!("never matches: no metric has a label `{name}`{}", hint(name, &labels)));
            }
            _ => return None,
        };
        let fits = values.iter().any(|value| matcher.accepts(value));
        (!fits).then(|| {
            let near = matcher.equals().map_or_else(String::new, |value| hint(value, values));
            format!("never matches: there is no such {what}: {matcher}{near}")
        })
    }
}

/// Every matcher at this route or rule and below.
fn collect<'n>(node: &'n Node, found: &mut Vec<&'n Node>) {
    for list in KEYS.iter().filter_map(|key| node.get(key)) {
        match &list.content {
            Content::List(items) => found.extend(items),
            Content::Scalar(_) | Content::Map(_) => found.push(list),
        }
    }
    node.get("routes").map_or(&[][..], Node::items).iter().for_each(|child| collect(child, found));
}

#[cfg(test)]
mod tests {
    use crate::config::testing::findings_of;

    #[test]
    fn matchers_that_never_match_are_told() {
        let text = "
version: 1
sources: {s: {sqlite: {path: s.db}}}
metrics:
  - {name: orders, source: s, query: {sql: 'SELECT 1 AS value'}, labels: [channel], interval: 1m}
receivers: [{name: ops, channels: [{email: {to: [ops@example.com], host: smtp.example.com}}]}]
route:
  receiver: ops
  routes:
    - {receiver: ops, matchers: ['metric=\"order\"', 'severity=P5', 'team=risk', 'chanel=app']}
    - {receiver: ops, matchers: ['metric=~\"ord.*\"', 'severity!=P2', 'team!=risk', 'channel=app', 'alertname=orders']}
inhibit_rules:
  - {source_matchers: ['severity=p0'], target_matchers: ['metric=\"logins\"']}
";
        let found: Vec<_> = findings_of(text).into_iter().filter(|line| !line.contains("s.db")).collect();
        insta::assert_snapshot!(found.join("\n"), @r#"
        tidemark.yaml:10:34: warning: never matches: there is no such metric: metric="order", did you mean `orders`? (valid: orders)
        tidemark.yaml:10:52: warning: never matches: there is no such severity: severity="P5", did you mean `P0`? (valid: P0, P1, P2)
        tidemark.yaml:10:67: warning: never matches: no metric has a label `team` (valid: alertname, channel, metric, owner)
        tidemark.yaml:10:80: warning: never matches: no metric has a label `chanel`, did you mean `channel`? (valid: alertname, channel, metric, owner)
        tidemark.yaml:13:24: warning: never matches: there is no such severity: severity="p0", did you mean `P0`? (valid: P0, P1, P2)
        tidemark.yaml:13:58: warning: never matches: there is no such metric: metric="logins" (valid: orders)
        "#);
    }
}
