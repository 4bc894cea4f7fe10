//! aurora: benches.
