//! The stored numbers of the enumerations in `proto/log.proto`: one table, read both ways, exhaustive.

use model::{MissedReason, Origin, PipelineKind, ReasonCode, Severity, Transition, VerdictState};

/// An enumeration with stored numbers.
pub(crate) trait Code: Sized {
    /// The stored number.
    fn code(self) -> u32;
    /// From the stored number; an error in words when there is none such.
    fn from_code(code: u32) -> Result<Self, String>;
}

macro_rules! codes {
    ($($kind:ident { $($variant:ident = $number:literal),* $(,)? })*) => {$(
        impl Code for $kind {
            fn code(self) -> u32 {
                match self { $($kind::$variant => $number),* }
            }

            fn from_code(code: u32) -> Result<Self, String> {
                match code {
                    $($number => Ok($kind::$variant),)*
                    other => Err(format!("{} has no number {other}", stringify!($kind))),
                }
            }
        }
    )*};
}

codes! {
    Origin { Live = 0, Backfill = 1, Push = 2 }
    MissedReason { Timeout = 0, Unreachable = 1, Error = 2, Invalid = 3, Overrun = 4, Full = 5, Down = 6 }
    VerdictState { Normal = 0, Learning = 1, Missing = 2, Outside = 3, Firing = 4 }
    Severity { P0 = 0, P1 = 1, P2 = 2 }
    ReasonCode {
        Normal = 0, Learning = 1, NoData = 2, AboveBand = 3, BelowBand = 4, AboveThreshold = 5, BelowThreshold = 6,
        DriftUp = 7, DriftDown = 8,
    }
    Transition { Pending = 0, Firing = 1, SeverityChanged = 2, Resolved = 3 }
    PipelineKind { Sampler = 0, Consumer = 1, Channel = 2, Log = 3 }
}

/// Outcomes of a tick.
pub(crate) const OUTCOME_ROWS: u32 = 0;
/// See [`OUTCOME_ROWS`].
pub(crate) const OUTCOME_EMPTY: u32 = 1;
/// See [`OUTCOME_ROWS`].
pub(crate) const OUTCOME_MISSED: u32 = 2;

/// Version of every body this code writes and the highest it reads.
pub(crate) const BODY_VERSION: u32 = 1;
