//! dataplane

fn main() {}
