//! The log through its port, on real files.

// `cfg(test)` on each, so that helpers may unwrap as tests may.
#[cfg(test)]
mod codec;
#[cfg(test)]
mod common;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod log;
#[cfg(test)]
mod model_test;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod retention;
