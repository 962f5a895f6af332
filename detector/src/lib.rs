//! Judging: same-phase baselines, forecasts, the evaluator and the alert state.
//!
//! The core is pure and incremental: [`algorithm`], [`algorithms`], [`calendar`], [`series`], [`engine`] and
//! [`mod@backtest`] know no clock, do no I/O and draw no random numbers. One fold, [`series::SeriesJudge::observe`], is
//! live judging, restart, backtest, preview and the command `detect`. Only [`consumer`] touches the log and the disk.

pub mod alert_state;
pub mod algorithm;
pub mod algorithms;
pub mod backtest;
pub mod calendar;
pub mod civil;
pub mod consumer;
pub mod engine;
pub mod evaluator;
pub mod forecast;
pub mod history;
pub mod interval;
pub mod limit;
pub mod same_phase;
pub mod series;
pub mod settings;
mod snapshot;
pub mod state;
pub mod stats;

pub use backtest::{BacktestReport, backtest};
pub use calendar::{Calendar, CalendarError};
pub use consumer::{DetectorError, DetectorMetrics, DetectorOptions, Progress, ProgressReader};
pub use engine::{Engine, EngineStats, JudgingConfig};
pub use series::{Judged, SeriesJudge};
