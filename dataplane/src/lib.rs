//! The data plane: a lean HTTP proxy that decides every request locally.

pub mod clock;
pub mod limit;
pub mod traffic;
pub mod balance;
pub mod client;
pub mod limiter;
pub mod limits;
pub mod pool;
