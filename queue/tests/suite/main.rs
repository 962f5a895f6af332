//! The log through its port, on real files.

mod codec;
mod common;
mod kill;
mod log;
mod model_test;
mod recovery;
mod retention;
