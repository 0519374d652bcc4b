//! test-backend

fn main() {}
