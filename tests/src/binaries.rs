//! Optimised binaries, for benches.

use std::path::PathBuf;

/// Where a binary of `make release` is, or the one of the same name in the folder that `OHX_BENCH_BIN` names, such as that of the images.
pub fn optimised(name: &str) -> PathBuf {
    let release = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release"));
    let binary = std::env::var_os("OHX_BENCH_BIN").map_or_else(release, PathBuf::from).join(name);
    assert!(binary.exists(), "{} is not built; run: make release", binary.display());
    binary
}
