//! The sections `sources` and `metrics`.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono_tz::Tz;
use collector::SourceConfig;
use detector::algorithms::ALGORITHMS;
use detector::consumer::COLLECTION_METRIC;
use detector::settings::{DirectionSetting, Kind};
use model::check_metric_name;

use super::{Checker, below};
use crate::config::finding::{Finding, Place};
use crate::config::judging::Judging;
use crate::config::metrics::{MetricConfig, ValueEntry};
use crate::config::nearest::hint;
use crate::config::tree::Node;
use crate::config::zone::Zone;

pub(super) fn check(checker: &mut Checker<'_>) {
    let sources = check_sources(checker);
    let zone = checker.typed::<Zone>(&["timezone"]).unwrap_or_default().0;
    let known = checker.keys("sources");
    let mut used = HashSet::new();
    for i in 0..checker.items("metrics").len() {
        let index = i.to_string();
        let path = ["metrics", &index];
        used.extend(checker.root.at(&["metrics", &index, "source"]).and_then(Node::text));
        check_source_name(checker, &path, &known);
        if let Some(metric) = checker.typed::<MetricConfig>(&path) {
            let metric = Entry { path: &path, metric: &metric, zone };
            metric.check(checker, sources.get(&metric.metric.source));
        }
    }
    check_unique(checker);
    for (key, _) in checker.root.get("sources").map_or(&[][..], Node::entries) {
        if !used.contains(key.text.as_str()) {
            let message = format!("source `{}` is used by no metric", key.text);
            checker.findings.push(Finding::warning(key.place, message));
        }
    }
    if checker.items("metrics").is_empty() && !checker.is_broken(&["metrics"]) {
        checker.warning(&["metrics"], "no metric is configured: nothing is watched");
    }
}

fn check_sources(checker: &mut Checker<'_>) -> BTreeMap<String, SourceConfig> {
    let mut sources = BTreeMap::new();
    for name in checker.keys("sources") {
        let path = ["sources", name];
        let Some(source) = checker.typed::<SourceConfig>(&path) else { continue };
        for problem in collector::validate_source(&source) {
            checker.error(&below(&path, problem.path), problem.message);
        }
        sources.insert(name.to_owned(), source);
    }
    sources
}

fn check_source_name(checker: &mut Checker<'_>, path: &[&str], known: &[&str]) {
    let at = [path[0], path[1], "source"];
    let Some(name) = checker.root.at(&at).and_then(Node::text) else { return };
    if !checker.is_broken(&at) && !known.contains(&name) {
        let message = format!("unknown source `{name}`{}", hint(name, known));
        checker.error(&at, message);
    }
}

/// Full names of all metrics, as far as they can be told.
pub(super) fn full_names(checker: &Checker<'_>) -> Vec<String> {
    named_places(checker).into_iter().map(|(name, _)| name).collect()
}

/// Every full metric name and where it is given.
fn named_places(checker: &Checker<'_>) -> Vec<(String, Place)> {
    let mut all = Vec::new();
    for item in checker.items("metrics") {
        let Some(node) = item.get("name") else { continue };
        let Some(name) = node.text() else { continue };
        match item.get("values").map_or(&[][..], Node::items) {
            [] | [_] => all.push((name.to_owned(), node.place)),
            values => {
                for value in values {
                    let value_name = value.text().or_else(|| value.get("name")?.text()).unwrap_or_default();
                    all.push((format!("{name}.{value_name}"), value.place));
                }
            }
        }
    }
    all
}

/// A name may be given once, as a sampler's and as a metric's; both places of a clash are told. One name is Tidemark's.
fn check_unique(checker: &mut Checker<'_>) {
    for (_, place) in named_places(checker).into_iter().filter(|(name, _)| name == COLLECTION_METRIC) {
        let message =
            format!("`{COLLECTION_METRIC}` is the name of Tidemark's own alert that nothing is collected");
        checker.findings.push(Finding::error(place, message));
    }
    let samplers = checker.items("metrics").iter().filter_map(|item| {
        let node = item.get("name")?;
        Some((node.text()?.to_owned(), node.place))
    });
    for all in [samplers.collect(), named_places(checker)] {
        let mut first: HashMap<String, Place> = HashMap::new();
        for (name, place) in all {
            let Some(other) = first.get(&name).copied() else {
                first.insert(name, place);
                continue;
            };
            let message = |line: usize| format!("metric `{name}` stands twice: it is on line {line} too");
            checker.findings.push(Finding::error(place, message(other.line)));
            checker.findings.push(Finding::error(other, message(place.line)));
        }
    }
}

/// One entry of `metrics`.
struct Entry<'a> {
    path: &'a [&'a str],
    metric: &'a MetricConfig,
    zone: Tz,
}

impl Entry<'_> {
    fn at(&self, steps: &[&str]) -> Vec<String> {
        below(self.path, steps.iter().map(|step| (*step).to_owned()))
    }

    fn check(&self, checker: &mut Checker<'_>, source: Option<&SourceConfig>) {
        self.check_names(checker);
        let scheduled = self.check_schedule(checker);
        self.check_rate(checker);
        self.check_judging(checker, &self.metric.judging, &[]);
        for (i, value) in self.metric.values.iter().enumerate() {
            if let ValueEntry::Value(value) = value {
                self.check_judging(checker, &value.judging, &["values", &i.to_string()]);
            }
        }
        if !scheduled {
            return;
        }
        let spec = self.metric.sampler(self.zone);
        let before = checker.findings.len();
        for problem in collector::validate_sampler(&spec, source) {
            checker.error(&below(self.path, problem.path), problem.message);
        }
        self.say_once(checker, before);
    }

    /// What the collector found at the entry as a whole stands better at its key, when it was found there already.
    fn say_once(&self, checker: &mut Checker<'_>, before: usize) {
        let entry = checker.place(self.path);
        let (mine, found) = checker.findings.split_at(before);
        let said = |finding: &Finding| {
            finding.place == entry && mine.iter().any(|have| have.message == finding.message)
        };
        let kept: Vec<_> = found.iter().filter(|finding| !said(finding)).cloned().collect();
        checker.findings.truncate(before);
        checker.findings.extend(kept);
    }

    fn check_names(&self, checker: &mut Checker<'_>) {
        let metric = self.metric;
        if let Err(error) = check_metric_name(&metric.name) {
            checker.error(&self.at(&["name"]), error.to_string());
        }
        for (i, value) in metric.values.iter().enumerate().filter(|_| metric.values.len() > 1) {
            if let Err(error) = check_metric_name(value.name()) {
                checker.error(&self.at(&["values", &i.to_string()]), error.to_string());
            }
        }
        let doubled =
            metric.labels.iter().enumerate().filter(|(_, label)| metric.static_labels.contains_key(*label));
        for (i, label) in doubled {
            let message = format!("label `{label}` stands under `static_labels` too");
            checker.error(&self.at(&["labels", &i.to_string()]), message);
        }
    }

    /// Whether the schedule is whole.
    fn check_schedule(&self, checker: &mut Checker<'_>) -> bool {
        let metric = self.metric;
        let message = match (metric.interval, &metric.cron, metric.window) {
            (None, None, _) => Some(("name", "missing key `interval` (or `cron` and `window`)")),
            (Some(_), Some(_), _) => Some(("cron", "`interval` is given too: write one of them")),
            (None, Some(_), None) => {
                Some(("cron", "`cron` needs `window`: how long a stretch each sample speaks of"))
            }
            (Some(_), None, Some(_)) => {
                Some(("window", "`window` goes with `cron`; with `interval` leave it out"))
            }
            _ => None,
        };
        if let Some((key, message)) = message {
            checker.error(&self.at(&[key]), message);
            return false;
        }
        let (step, timeout) = (metric.step(), metric.timeout());
        if metric.timeout.is_some() && timeout >= step {
            let message = "`timeout` is not shorter than the interval: a slow answer costs the next tick";
            checker.warning(&self.at(&["timeout"]), message);
        }
        if metric.delay.0.is_zero()
            && step < std::time::Duration::from_secs(60)
            && metric.query.asks_for_window()
        {
            let message = "windows this short need a `delay`: rows written after the window's end are missed";
            checker.warning(&self.at(&["interval"]), message);
        }
        true
    }

    fn check_rate(&self, checker: &mut Checker<'_>) {
        let metric = self.metric;
        let mut both = |steps: &[&str], kind: Option<Kind>, numerator: bool, denominator: bool| {
            let message = match (kind, numerator, denominator) {
                (_, true, false) | (_, false, true) => "a rate needs both `numerator` and `denominator`",
                (Some(Kind::Rate), false, false) => "`kind: rate` needs `numerator` and `denominator`",
                (Some(Kind::Count), true, true) => "a numerator and a denominator make a rate, not a count",
                _ => return,
            };
            checker.error(&self.at(steps), message);
        };
        let (numerator, denominator) = (metric.numerator.is_some(), metric.denominator.is_some());
        if metric.values.is_empty() {
            return both(&["name"], metric.judging.kind, numerator, denominator);
        }
        for (i, value) in metric.values.iter().enumerate() {
            let index = i.to_string();
            match value {
                ValueEntry::Column(_) => {
                    both(&["values", &index], metric.judging.kind, numerator, denominator)
                }
                ValueEntry::Value(value) => both(
                    &["values", &index],
                    value.judging.kind.or(metric.judging.kind),
                    numerator || value.numerator.is_some(),
                    denominator || value.denominator.is_some(),
                ),
            }
        }
        if numerator && metric.values.len() > 1 {
            checker
                .error(&self.at(&["numerator"]), "with several `values` each rate names its own `numerator`");
        }
    }

    /// A limit on the side that `direction` does not watch never fires.
    fn check_direction(&self, checker: &mut Checker<'_>, judging: &Judging, at: &[String]) {
        let effective = judging.over(&self.metric.judging);
        let Some(threshold) = judging.threshold else { return };
        let (key, direction) = match effective.direction {
            Some(DirectionSetting::Above) if threshold.below.is_some() => ("below", "above"),
            Some(DirectionSetting::Below) if threshold.above.is_some() => ("above", "below"),
            _ => return,
        };
        let place = at.iter().cloned().chain([key.to_owned()]).collect::<Vec<_>>();
        let message =
            format!("threshold `{key}` never fires: `direction: {direction}` watches the other side only");
        checker.warning(&place, message);
    }

    fn check_judging(&self, checker: &mut Checker<'_>, judging: &Judging, steps: &[&str]) {
        let at = |key: &str| self.at(&[steps, &[key]].concat());
        if let Some(for_) = judging.for_.filter(|for_| for_.m > for_.n) {
            checker.error(&at("for"), format!("{} of the last {} windows cannot be", for_.m, for_.n));
        }
        if let Some(threshold) = judging.threshold {
            match (threshold.above, threshold.below) {
                (Some(above), Some(below)) if above < below => {
                    checker.error(&at("threshold"), "no value is neither above `above` nor below `below`");
                }
                (None, None) => checker.error(&at("threshold"), "give `above`, `below` or both"),
                _ => {}
            }
        }
        self.check_direction(checker, judging, &at("threshold"));
        if let Some(layers) = judging.severity_layers.filter(|layers| layers.p0 < layers.p1) {
            let message = format!("P0 from {} on would come before P1 from {} on", layers.p0, layers.p1);
            checker.error(&at("severity_layers"), message);
        }
        self.check_listed(checker, judging, steps);
    }

    /// Names of algorithms and promotions.
    fn check_listed(&self, checker: &mut Checker<'_>, judging: &Judging, steps: &[&str]) {
        let at = |key: &str, i: usize| self.at(&[steps, &[key, &i.to_string()]].concat());
        let algorithms: Vec<&str> = ALGORITHMS.iter().map(|registered| registered.name).collect();
        for (i, name) in judging.algorithms.iter().flatten().enumerate() {
            if !algorithms.contains(&name.as_str()) {
                let message = format!("unknown algorithm `{name}`{}", hint(name, &algorithms));
                checker.error(&at("algorithms", i), message);
            }
        }
        let promotions = checker.root.at(&["calendar", "promotions"]).map_or(&[][..], Node::items);
        let promotions: Vec<&str> = promotions.iter().filter_map(|item| item.get("name")?.text()).collect();
        for (i, name) in judging.calendars.iter().flatten().enumerate() {
            if !promotions.contains(&name.as_str()) {
                let message = format!("unknown promotion `{name}`{}", hint(name, &promotions));
                checker.error(&at("calendars", i), message);
            }
        }
    }
}
