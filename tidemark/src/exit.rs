//! Exit codes, all of them.
//!
//! Of several that apply to `check`, the first in the order 78, 4, 3 wins.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: all is well.
    Ok,
    /// 1: the command failed.
    Failure,
    /// 2: the command line is wrong (clap's own code).
    Usage,
    /// 3: the configuration is valid but has warnings, or `--online` found something wrong in what answered.
    Findings,
    /// 4: `--online` could not reach something.
    Unreachable,
    /// 78: the configuration has an error (`EX_CONFIG` of sysexits.h).
    Config,
}

impl Exit {
    /// The number the shell sees.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Findings => 3,
            Self::Unreachable => 4,
            Self::Config => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
