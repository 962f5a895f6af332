//! Judging: same-phase baselines, forecasts, the evaluator and the alert state.
//!
//! Pure at its core: [`algorithm`] and everything below it knows no clock and does no I/O.

pub mod algorithm;
pub mod settings;
