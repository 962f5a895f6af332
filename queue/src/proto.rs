//! The messages of `proto/log.proto`, as the compiler made them (a test compares).

include!("generated/tidemark.log.v1.rs");
