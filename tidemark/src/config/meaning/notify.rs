//! The sections `receivers`, `route`, `inhibit_rules` and `time_intervals`.

use model::HumanDuration;
use notifier::config::{
    InhibitRuleConfig, NotifierConfig, RateLimitConfig, ReceiverConfig, RouteConfig, TimeIntervalConfig,
};
use serde::de::DeserializeOwned;

use super::{Checker, matchers};
use crate::config::finding::Finding;
use crate::config::nearest::hint;
use crate::config::tree::{Content, Node};

pub(super) fn check(checker: &mut Checker<'_>) {
    let receivers = checker.items("receivers");
    let route = checker.root.get("route").filter(|route| !route.is_null());
    if receivers.is_empty() && route.is_none() {
        return;
    }
    let mut broken = Vec::new();
    let config = NotifierConfig {
        receivers: entries(checker, "receivers", &mut broken, stand_in),
        inhibit_rules: entries(checker, "inhibit_rules", &mut broken, |_| InhibitRuleConfig::default()),
        time_intervals: entries(checker, "time_intervals", &mut broken, |name| TimeIntervalConfig {
            name,
            time_intervals: Vec::new(),
        }),
        route: checker.typed::<RouteConfig>(&["route"]).unwrap_or_default(),
        ..NotifierConfig::default()
    };
    if route.is_none() {
        let message = "receivers are given but no `route` says who gets what: add `route: {receiver: ..}`";
        let place = if checker.root.get("route").is_some() { "route" } else { "receivers" };
        checker.error(&[place], message);
        broken.push(vec!["route".to_owned()]);
    } else if checker.is_broken(&["route"]) {
        broken.push(vec!["route".to_owned()]);
    }
    for problem in notifier::validate(&config) {
        if broken.iter().any(|path| problem.path.starts_with(path)) {
            continue;
        }
        let message = match &problem.unknown {
            Some(name) => {
                let valid: Vec<&str> = problem.valid.iter().map(String::as_str).collect();
                let what =
                    problem.message.split_once(", ").map_or(problem.message.as_str(), |(what, _)| what);
                format!("{what}{}", hint(name, &valid))
            }
            None => problem.message,
        };
        checker.error(&problem.path, message);
    }
    check_used(checker);
    matchers::check(checker);
}

/// The entries of a list; for a broken one a stand-in of its name, so that who refers to it is not blamed.
fn entries<T: DeserializeOwned>(
    checker: &mut Checker<'_>,
    section: &str,
    broken: &mut Vec<Vec<String>>,
    stand_in: impl Fn(String) -> T,
) -> Vec<T> {
    let count = checker.items(section).len();
    (0..count)
        .map(|i| {
            let index = i.to_string();
            checker.typed(&[section, &index]).unwrap_or_else(|| {
                broken.push(vec![section.to_owned(), index.clone()]);
                let name = checker.root.at(&[section, &index, "name"]).and_then(Node::text);
                stand_in(name.unwrap_or_default().to_owned())
            })
        })
        .collect()
}

fn stand_in(name: String) -> ReceiverConfig {
    let rate_limit = RateLimitConfig { messages: 1, per: HumanDuration::from_secs(1) };
    ReceiverConfig { name, channels: Vec::new(), language: None, send_resolved: true, rate_limit }
}

/// Receivers and time intervals that no route names.
fn check_used(checker: &mut Checker<'_>) {
    let Some(route) = checker.root.get("route") else { return };
    for (section, keys, sentence) in [
        ("receivers", &["receiver"][..], "is named by no route: it never gets a message"),
        ("time_intervals", &["mute_time_intervals", "active_time_intervals"][..], "is named by no route"),
    ] {
        let mut named = Vec::new();
        collect(route, keys, &mut named);
        for item in checker.items(section) {
            let Some((name, place)) = item.get("name").and_then(|node| Some((node.text()?, node.place)))
            else {
                continue;
            };
            if !named.contains(&name) {
                let what = section.trim_end_matches('s').replace('_', " ");
                checker.findings.push(Finding::warning(place, format!("{what} `{name}` {sentence}")));
            }
        }
    }
}

/// The texts under these keys, at this route and below.
fn collect<'n>(route: &'n Node, keys: &[&str], named: &mut Vec<&'n str>) {
    for node in keys.iter().filter_map(|key| route.get(key)) {
        match &node.content {
            Content::Scalar(scalar) => named.push(&scalar.text),
            Content::List(items) => named.extend(items.iter().filter_map(Node::text)),
            Content::Map(_) => {}
        }
    }
    route.get("routes").map_or(&[][..], Node::items).iter().for_each(|child| collect(child, keys, named));
}
