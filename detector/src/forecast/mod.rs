//! Forecasts: whole horizons of a series, and what was said of each row a day before.
//!
//! Pure: the same history gives the same forecast. Every value is finite whatever the history holds.

mod horizon;
mod members;
mod rolling;

pub use horizon::forecast_horizon;
pub use rolling::{Rolling, RollingForecast};

#[cfg(test)]
mod tests;
