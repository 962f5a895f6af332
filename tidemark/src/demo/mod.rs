//! `tidemark demo`: a small lending business, its history, its mishaps, and catchers for the messages.
//!
//! The demo stands outside the product: it writes an ordinary `tidemark.yaml` into its data folder and starts the same
//! runtime as `run` does, with a faster [`DemoClock`] and a [`console::Showcase`] for its strip on the page. What
//! it adds around that: a SQLite file and an HTTP API with the business in them, 30 days of history appended to
//! the log before time is let go, and an SMTP and a webhook catcher on loopback.
//!
//! A second start with the same folder goes on where the first stopped, whatever stopped it. It begins anew when the
//! history was not complete, the seed differs, or domain time has less than an hour left before now.

pub(crate) mod clock;
pub(crate) mod script;
