//! `tidemark demo`: a small lending business, its history, its mishaps, and catchers for the messages.
//!
//! The demo stands outside the product: it writes an ordinary `tidemark.yaml` into its folder and starts the same
//! runtime as `run` does, with a faster `clock::DemoClock` and a [`console::Showcase`] for its strip on the page. What it adds
//! around that: a SQLite file and an HTTP API with the business in them, 30 days of history appended to the log before
//! time is let go, and an SMTP and a webhook catcher on loopback.
//!
//! A second start with the same folder goes on where the first stopped, whatever stopped it: after Ctrl-C with the very
//! next minute, after a kill with at most the ticks of one minute recorded as missed. It begins anew when the history was
//! not whole, the seed differs, or domain time has less than an hour's running left before it meets now.

pub(crate) mod business;
mod catcher;
mod clock;
mod folder;
mod helpers;
mod history;
mod risk_api;
mod samplers;
mod script;
mod settings;
mod shop;
mod showcase;
mod stage;

pub(crate) use history::bar as history_bar;
pub(crate) use stage::{Stage, StageOptions};

/// How long it takes, in domain time, until every anomaly has been planted once.
pub(crate) const fn cycle_length() -> std::time::Duration {
    script::Script::cycle_length()
}
