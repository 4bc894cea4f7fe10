//! Benchmarks of aurora live in `benches/`: `stages` measures one thing at a time, `conversions` whole ones.
//! `cargo xtask bench [FILTER]` runs them; figures are worth something only on an idle machine.
