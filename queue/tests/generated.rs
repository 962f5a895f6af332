//! The checked-in Rust of `proto/log.proto` is what the compiler makes of it.
//!
//! `TIDEMARK_BLESS=1 cargo test -p queue --test generated` writes it anew.

use std::path::Path;

#[test]
fn checked_in_code_matches_the_proto_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile([root.join("proto/log.proto")], [root.join("proto")]).unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut config = prost_build::Config::new();
    config.out_dir(out.path()).bytes([".tidemark.log.v1.Entry.body"]);
    config.compile_fds(descriptors).unwrap();
    let made = std::fs::read_to_string(out.path().join("tidemark.log.v1.rs")).unwrap();
    let checked_in = root.join("src/generated/tidemark.log.v1.rs");
    if std::env::var_os("TIDEMARK_BLESS").is_some() {
        std::fs::write(&checked_in, &made).unwrap();
    }
    let have = std::fs::read_to_string(&checked_in).unwrap_or_default();
    assert!(
        made == have,
        "proto/log.proto changed: run TIDEMARK_BLESS=1 cargo test -p queue --test generated"
    );
}
