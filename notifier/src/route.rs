//! The route tree, compiled: which receivers an alert goes to, and in which groups.
//!
//! Descends as Alertmanager does: the first child that matches takes the alert, unless it says `continue`; a node none
//! of whose children matches takes it itself. Receiver, grouping and times are inherited, mute and active intervals
//! are not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Severity, Timestamp, check_label_name};

use crate::config::RouteConfig;
use crate::interval::Interval;
use crate::matcher::{LabelMatcher, SEVERITY_LABEL, all_match, parse_matchers};
use crate::validate::Problems;

/// What makes a group.
#[derive(Clone, Debug, PartialEq, Eq)]
enum GroupBy {
    /// Every label (`...`).
    All,
    /// These.
    Names(Vec<String>),
}

/// A node of the tree.
#[derive(Clone, Debug)]
pub struct Route {
    /// Path of matchers from the root, which outlives reordering of the file: `{}/{severity="P0"}`.
    pub key: String,
    /// Its receiver.
    pub receiver: String,
    /// How long a new group waits for more.
    pub group_wait: Duration,
    /// How long a group that has told waits before it tells of changes.
    pub group_interval: Duration,
    /// How long until what still fires is told again.
    pub repeat_interval: Duration,
    group_by: GroupBy,
    matchers: Vec<LabelMatcher>,
    continues: bool,
    mute: Vec<Arc<Interval>>,
    active: Vec<Arc<Interval>>,
    children: Vec<Arc<Route>>,
}

impl Route {
    /// The labels by which an alert is grouped here.
    pub fn group_labels(&self, labels: &Labels, severity: Severity) -> Labels {
        match &self.group_by {
            GroupBy::All => labels.clone(),
            GroupBy::Names(names) => Labels::new(names.iter().filter_map(|name| {
                let own = labels.get(name);
                let value = own.or_else(|| (name == SEVERITY_LABEL).then_some(severity.as_str()))?;
                Some((name.as_str(), value))
            })),
        }
    }

    /// The interval that keeps this route silent at an instant; for a route outside its active intervals `inactive`.
    pub fn muted_by(&self, at: Timestamp) -> Option<String> {
        if let Some(interval) = self.mute.iter().find(|interval| interval.contains(at)) {
            return Some(format!("muted:{}", interval.name));
        }
        let inactive = !self.active.is_empty() && !self.active.iter().any(|interval| interval.contains(at));
        inactive.then(|| "muted:inactive".to_owned())
    }

    /// When to look again at a muted route: the first minute at which it may speak, or a day later.
    pub fn unmuted_after(&self, at: Timestamp) -> Timestamp {
        let minute = Duration::from_secs(60);
        let mut next = at.align_down(minute) + minute;
        for _ in 0..24 * 60 {
            if self.muted_by(next).is_none() {
                break;
            }
            next = next + minute;
        }
        next
    }

    fn collect<'a>(
        self: &'a Arc<Self>,
        labels: &Labels,
        severity: Severity,
        found: &mut Vec<&'a Arc<Self>>,
    ) -> bool {
        if !all_match(&self.matchers, labels, severity) {
            return false;
        }
        let before = found.len();
        for child in &self.children {
            if child.collect(labels, severity, found) && !child.continues {
                break;
            }
        }
        if found.len() == before {
            found.push(self);
        }
        true
    }
}

/// The whole tree.
#[derive(Clone, Debug)]
pub struct Routes {
    root: Arc<Route>,
    by_key: BTreeMap<String, Arc<Route>>,
}

impl Routes {
    /// The nodes that take an alert, in order; at least one.
    pub fn targets(&self, labels: &Labels, severity: Severity) -> Vec<&Arc<Route>> {
        let mut found = Vec::new();
        self.root.collect(labels, severity, &mut found);
        found
    }

    /// The node of a key.
    pub fn get(&self, key: &str) -> Option<&Arc<Route>> {
        self.by_key.get(key)
    }

    /// Compiles the tree, noting every mistake. `receivers` are the known names.
    pub(crate) fn compile(
        config: &RouteConfig,
        receivers: &[String],
        intervals: &BTreeMap<String, Arc<Interval>>,
        problems: &mut Problems,
    ) -> Self {
        check_root(config, problems);
        let defaults = Route {
            key: String::new(),
            receiver: String::new(),
            group_wait: Duration::from_secs(30),
            group_interval: Duration::from_secs(300),
            repeat_interval: Duration::from_secs(4 * 3_600),
            group_by: GroupBy::Names(Vec::new()),
            matchers: Vec::new(),
            continues: false,
            mute: Vec::new(),
            active: Vec::new(),
            children: Vec::new(),
        };
        let mut compiler = Compiler { receivers, intervals, problems, keys: BTreeMap::new() };
        let root = compiler.node(config, &defaults, &["route".to_owned()]);
        Self { root, by_key: compiler.keys }
    }
}

fn check_root(config: &RouteConfig, problems: &mut Problems) {
    let root = ["route".to_owned()];
    if config.receiver.is_none() {
        problems.add(&root, "the root route must name a receiver");
    }
    let wrong = [
        ("matchers", config.matchers.is_empty(), "the root route takes every alert: it has no matchers"),
        ("mute_time_intervals", config.mute_time_intervals.is_empty(), "the root route cannot be muted"),
        ("active_time_intervals", config.active_time_intervals.is_empty(), "the root route is always active"),
        ("continue", !config.continue_, "the root route has no siblings to continue with"),
    ];
    for (key, ok, message) in wrong {
        if !ok {
            problems.add(&["route".to_owned(), key.to_owned()], message);
        }
    }
}

struct Compiler<'a> {
    receivers: &'a [String],
    intervals: &'a BTreeMap<String, Arc<Interval>>,
    problems: &'a mut Problems,
    keys: BTreeMap<String, Arc<Route>>,
}

impl Compiler<'_> {
    fn node(&mut self, config: &RouteConfig, parent: &Route, path: &[String]) -> Arc<Route> {
        let matchers = self.matchers(&config.matchers, &below(path, "matchers"));
        let mut route = Route {
            key: self.key(parent, &matchers),
            receiver: self.receiver(config, parent, path),
            group_wait: config.group_wait.map_or(parent.group_wait, |d| d.0),
            group_interval: self.interval_length(
                config.group_interval,
                parent.group_interval,
                path,
                "group_interval",
            ),
            repeat_interval: self.interval_length(
                config.repeat_interval,
                parent.repeat_interval,
                path,
                "repeat_interval",
            ),
            group_by: self.group_by(config, parent, path),
            matchers,
            continues: config.continue_,
            mute: self.named_intervals(&config.mute_time_intervals, &below(path, "mute_time_intervals")),
            active: self
                .named_intervals(&config.active_time_intervals, &below(path, "active_time_intervals")),
            children: Vec::new(),
        };
        // The key is taken before the children ask for theirs.
        self.keys.insert(route.key.clone(), Arc::new(route.clone()));
        for (index, child) in config.routes.iter().enumerate() {
            let child = self.node(child, &route, &below(&below(path, "routes"), &index.to_string()));
            route.children.push(child);
        }
        let route = Arc::new(route);
        self.keys.insert(route.key.clone(), Arc::clone(&route));
        route
    }

    /// Two siblings with the same matchers are told apart by a number.
    fn key(&self, parent: &Route, matchers: &[LabelMatcher]) -> String {
        let own: Vec<String> = matchers.iter().map(ToString::to_string).collect();
        let separator = if parent.key.is_empty() { "" } else { "/" };
        let plain = format!("{}{separator}{{{}}}", parent.key, own.join(","));
        let mut key = plain.clone();
        for number in 1.. {
            if !self.keys.contains_key(&key) {
                break;
            }
            key = format!("{plain}#{number}");
        }
        key
    }

    fn receiver(&mut self, config: &RouteConfig, parent: &Route, path: &[String]) -> String {
        let Some(name) = &config.receiver else { return parent.receiver.clone() };
        if !self.receivers.contains(name) {
            self.problems.unknown(&below(path, "receiver"), "receiver", name, self.receivers.iter().cloned());
        }
        name.clone()
    }

    fn interval_length(
        &mut self,
        own: Option<model::HumanDuration>,
        inherited: Duration,
        path: &[String],
        key: &str,
    ) -> Duration {
        if own.is_some_and(|duration| duration.0.is_zero()) {
            self.problems.add(&below(path, key), &format!("{key} cannot be zero"));
        }
        own.map_or(inherited, |duration| duration.0)
    }

    fn group_by(&mut self, config: &RouteConfig, parent: &Route, path: &[String]) -> GroupBy {
        let Some(names) = config.group_by.as_ref().filter(|names| !names.is_empty()) else {
            return parent.group_by.clone();
        };
        if names.iter().any(|name| name == "...") {
            if names.len() > 1 {
                self.problems
                    .add(&below(path, "group_by"), "`...` means every label: name no other beside it");
            }
            return GroupBy::All;
        }
        let mut seen = BTreeSet::new();
        for (index, name) in names.iter().enumerate() {
            let place = below(&below(path, "group_by"), &index.to_string());
            if let Err(error @ model::InvalidName::Label(_)) = check_label_name(name) {
                self.problems.add(&place, &error.to_string());
            }
            if !seen.insert(name) {
                self.problems.add(&place, &format!("label `{name}` stands twice in group_by"));
            }
        }
        GroupBy::Names(names.clone())
    }

    fn matchers(&mut self, entries: &[String], path: &[String]) -> Vec<LabelMatcher> {
        compile_matchers(entries, path, self.problems)
    }

    fn named_intervals(&mut self, names: &[String], path: &[String]) -> Vec<Arc<Interval>> {
        let mut found = Vec::new();
        for (index, name) in names.iter().enumerate() {
            match self.intervals.get(name) {
                Some(interval) => found.push(Arc::clone(interval)),
                None => {
                    let known = self.intervals.keys().cloned();
                    self.problems.unknown(&below(path, &index.to_string()), "time interval", name, known);
                }
            }
        }
        found
    }
}

/// Compiles the matchers of a list, noting every mistake at its index.
pub(crate) fn compile_matchers(
    entries: &[String],
    path: &[String],
    problems: &mut Problems,
) -> Vec<LabelMatcher> {
    let mut matchers = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        match parse_matchers(entry) {
            Ok(found) => matchers.extend(found),
            Err(error) => problems.add(&below(path, &index.to_string()), &error.to_string()),
        }
    }
    matchers
}

/// A path one key deeper.
pub(crate) fn below(path: &[String], key: &str) -> Vec<String> {
    let mut longer = path.to_vec();
    longer.push(key.to_owned());
    longer
}
