//! `imageadm`.
fn main() {}
