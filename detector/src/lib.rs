//! Judging: same-phase baselines, forecasts, the evaluator and the alert state.
//!
//! The core is pure and incremental: [`algorithm`], [`algorithms`], [`calendar`], [`series`], [`engine`] and
//! [`backtest`] know no clock, do no I/O and draw no random numbers. One fold, [`series::SeriesJudge::observe`], is
//! live judging, restart, backtest, preview and the command `detect`. Only [`consumer`] touches the log and the disk.

pub mod algorithm;
pub mod algorithms;
pub mod backtest;
pub mod calendar;
pub mod consumer;
pub mod engine;
pub mod history;
pub mod series;
pub mod settings;

pub use backtest::{BacktestReport, backtest};
pub use calendar::{Calendar, CalendarError};
pub use consumer::{DetectorError, DetectorMetrics, DetectorOptions, Progress, ProgressReader};
pub use engine::{Engine, JudgingConfig};
pub use series::{Judged, SeriesJudge};
