//! A configuration, compiled: what the notifier follows. Immutable; another configuration is another plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Labels, Severity};

use crate::Language;
use crate::channels;
use crate::config::{NotifierConfig, RateLimitConfig, ReceiverConfig, RouteConfig};
use crate::route::{Route, Routes};
use crate::stages::inhibit::InhibitRule;
use crate::validate::{Problem, Problems, check_receivers, compile_intervals};

/// Name of the receiver of a configuration that has neither receivers nor a route. It has no channels.
pub const NOBODY: &str = "nobody";

/// One channel of a receiver, as the outbox knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelSlot {
    /// Receiver, type and number: `ops/email/0`.
    pub name: String,
    /// Its recipients.
    pub recipients: Vec<String>,
    /// Whether what it has not sent yet ends when its incident is acknowledged.
    pub ends_when_acknowledged: bool,
}

/// A receiver as messages are written for it.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Its configuration.
    pub config: ReceiverConfig,
    /// Its language.
    pub language: Language,
    /// Its channels.
    pub slots: Vec<ChannelSlot>,
}

/// A compiled configuration.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The configuration it was made of.
    pub config: NotifierConfig,
    /// The route tree.
    pub routes: Routes,
    /// Inhibition.
    pub inhibit_rules: Vec<InhibitRule>,
    receivers: BTreeMap<String, Arc<Receiver>>,
}

impl Plan {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn compile(mut config: NotifierConfig) -> Result<Self, Vec<Problem>> {
        if config.receivers.is_empty() && config.route == RouteConfig::default() {
            config.receivers = vec![nobody()];
            config.route.receiver = Some(NOBODY.to_owned());
        }
        let mut problems = Problems::default();
        check_receivers(&config, &mut problems);
        let intervals = compile_intervals(&config, &mut problems);
        let names: Vec<String> = config.receivers.iter().map(|receiver| receiver.name.clone()).collect();
        let routes = Routes::compile(&config.route, &names, &intervals, &mut problems);
        let inhibit_rules = InhibitRule::compile(&config.inhibit_rules, &mut problems);
        let problems = problems.into_inner();
        if !problems.is_empty() {
            return Err(problems);
        }
        let receivers = config
            .receivers
            .iter()
            .map(|receiver| (receiver.name.clone(), Arc::new(compile_receiver(receiver, config.language))))
            .collect();
        Ok(Self { config, routes, inhibit_rules, receivers })
    }

    /// A receiver by its name.
    pub fn receiver(&self, name: &str) -> Option<&Arc<Receiver>> {
        self.receivers.get(name)
    }

    /// The receivers, in order of name.
    pub fn receivers(&self) -> impl Iterator<Item = &Arc<Receiver>> {
        self.receivers.values()
    }

    /// The channels of every receiver.
    pub fn slots(&self) -> impl Iterator<Item = &ChannelSlot> {
        self.receivers.values().flat_map(|receiver| &receiver.slots)
    }

    /// Names of the channels that would wake somebody for what is in hand.
    pub fn hushable(&self) -> Vec<String> {
        self.slots().filter(|slot| slot.ends_when_acknowledged).map(|slot| slot.name.clone()).collect()
    }

    /// The routes that take an alert.
    pub fn targets(&self, labels: &Labels, severity: Severity) -> Vec<&Arc<Route>> {
        self.routes.targets(labels, severity)
    }

    /// The bound of a receiver's messages.
    pub fn rate_limit(&self, receiver: &str) -> RateLimitConfig {
        self.receiver(receiver).map(|r| r.config.rate_limit.clone()).unwrap_or_default()
    }

    /// Names of the receivers an alert with these labels goes to, severity among them.
    pub fn route_for(&self, labels: &Labels) -> Vec<String> {
        let mut names = Vec::new();
        for route in self.routes.targets(labels, Severity::default()) {
            if !names.contains(&route.receiver) {
                names.push(route.receiver.clone());
            }
        }
        names
    }
}

fn nobody() -> ReceiverConfig {
    ReceiverConfig {
        name: NOBODY.to_owned(),
        channels: Vec::new(),
        language: None,
        send_resolved: false,
        rate_limit: RateLimitConfig::default(),
    }
}

fn compile_receiver(config: &ReceiverConfig, language: Language) -> Receiver {
    Receiver {
        config: config.clone(),
        language: config.language.unwrap_or(language),
        slots: channels::slots(config)
            .map(|(name, channel)| ChannelSlot {
                name,
                recipients: channel.recipients(),
                ends_when_acknowledged: channel.ends_when_acknowledged(),
            })
            .collect(),
    }
}
