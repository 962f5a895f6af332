//! Inhibition: while an alert that matches the source of a rule fires, alerts that match its target and agree in
//! `equal` are not told.

use std::collections::HashMap;

use model::{AlertId, Labels, Severity};

use crate::config::InhibitRuleConfig;
use crate::matcher::{LabelMatcher, all_match};
use crate::route::{below, compile_matchers};
use crate::validate::Problems;

/// A compiled rule.
#[derive(Clone, Debug)]
pub struct InhibitRule {
    source: Vec<LabelMatcher>,
    target: Vec<LabelMatcher>,
    equal: Vec<String>,
}

impl InhibitRule {
    /// Compiles the rules, noting every mistake.
    pub(crate) fn compile(config: &[InhibitRuleConfig], problems: &mut Problems) -> Vec<Self> {
        let mut rules = Vec::new();
        for (index, rule) in config.iter().enumerate() {
            let path = ["inhibit_rules".to_owned(), index.to_string()];
            for (key, entries) in
                [("source_matchers", &rule.source_matchers), ("target_matchers", &rule.target_matchers)]
            {
                if entries.is_empty() {
                    problems
                        .add(&path, &format!("{key} is missing: a rule without it would silence everything"));
                }
            }
            rules.push(Self {
                source: compile_matchers(&rule.source_matchers, &below(&path, "source_matchers"), problems),
                target: compile_matchers(&rule.target_matchers, &below(&path, "target_matchers"), problems),
                equal: rule.equal.clone(),
            });
        }
        rules
    }

    fn equal_values(&self, labels: &Labels) -> Vec<String> {
        self.equal.iter().map(|name| labels.get(name).unwrap_or_default().to_owned()).collect()
    }

    /// Whether an alert that fires could inhibit others.
    pub fn is_source(&self, labels: &Labels, severity: Severity) -> bool {
        all_match(&self.source, labels, severity)
    }
}

/// The sources of one rule by their values of `equal`, and whether each is a target of the rule too.
type Sources = HashMap<Vec<String>, Vec<(AlertId, bool)>>;

/// Who inhibits whom among the alerts that fire at one moment.
#[derive(Debug)]
pub struct Inhibitor<'a> {
    rules: &'a [InhibitRule],
    /// One for each rule.
    sources: Vec<Sources>,
}

impl<'a> Inhibitor<'a> {
    /// Looks at every alert that fires.
    pub fn new<'b>(
        rules: &'a [InhibitRule],
        firing: impl Iterator<Item = (AlertId, &'b Labels, Severity)>,
    ) -> Self {
        let mut sources = vec![Sources::new(); rules.len()];
        if !rules.is_empty() {
            for (id, labels, severity) in firing {
                for (rule, found) in rules.iter().zip(&mut sources) {
                    if rule.is_source(labels, severity) {
                        let both = all_match(&rule.target, labels, severity);
                        found.entry(rule.equal_values(labels)).or_default().push((id, both));
                    }
                }
            }
        }
        Self { rules, sources }
    }

    /// The alert that inhibits this one. An alert that matches both sides of a rule is not inhibited by another that
    /// does, so that two cannot silence each other.
    pub fn inhibited_by(&self, id: AlertId, labels: &Labels, severity: Severity) -> Option<AlertId> {
        self.rules.iter().zip(&self.sources).find_map(|(rule, sources)| {
            if sources.is_empty() || !all_match(&rule.target, labels, severity) {
                return None;
            }
            let both = rule.is_source(labels, severity);
            let candidates = sources.get(&rule.equal_values(labels))?;
            candidates
                .iter()
                .find(|(source, source_both)| *source != id && !(both && *source_both))
                .map(|(s, _)| *s)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;

    fn id(n: u64) -> AlertId {
        AlertId { fingerprint: n, starts_at: Timestamp::from_secs(0) }
    }

    fn rules() -> Vec<InhibitRule> {
        let mut problems = Problems::default();
        let rule = InhibitRuleConfig {
            name: None,
            source_matchers: vec![r#"severity="P0""#.into()],
            target_matchers: vec![r#"severity=~"P1|P2""#.into()],
            equal: vec!["channel".into()],
        };
        let same = InhibitRuleConfig {
            name: None,
            source_matchers: vec![r#"metric="logins""#.into()],
            target_matchers: vec![r#"metric=~"logins|orders""#.into()],
            equal: Vec::new(),
        };
        let rules = InhibitRule::compile(&[rule, same], &mut problems);
        assert!(problems.into_inner().is_empty());
        rules
    }

    #[test]
    fn who_inhibits_whom() {
        let app = Labels::new([("channel", "app"), ("metric", "a")]);
        let web = Labels::new([("channel", "web"), ("metric", "b")]);
        let bare = Labels::new([("metric", "c")]);
        let logins = Labels::new([("metric", "logins"), ("channel", "x")]);
        let logins_too = Labels::new([("metric", "logins"), ("channel", "y")]);
        let orders = Labels::new([("metric", "orders"), ("channel", "z")]);
        let rules = rules();
        let firing = [
            (id(1), &app, Severity::P0),
            (id(2), &bare, Severity::P0),
            (id(3), &logins, Severity::P1),
            (id(4), &logins_too, Severity::P1),
        ];
        let inhibitor = Inhibitor::new(&rules, firing.into_iter());
        let table = [
            (id(9), &app, Severity::P1, Some(id(1)), "same channel"),
            (id(9), &app, Severity::P0, None, "no target"),
            (id(9), &web, Severity::P1, None, "another channel"),
            (id(9), &bare, Severity::P2, Some(id(2)), "absent in both is equal"),
            (id(3), &logins, Severity::P1, None, "both sides, the other source too"),
            (id(9), &orders, Severity::P1, Some(id(3)), "a target alone"),
            (id(1), &app, Severity::P0, None, "never by itself"),
        ];
        for (who, labels, severity, expected, what) in table {
            assert_eq!(inhibitor.inhibited_by(who, labels, severity), expected, "{what}");
        }
    }
}
