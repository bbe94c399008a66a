//! The binary. Filled once the crates below stand.
fn main() {}
