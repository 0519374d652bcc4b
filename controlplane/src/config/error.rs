//! What is wrong with a configuration.

/// One fault: where, which key, and what was expected instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {}{problem}", prefix(.key))]
pub struct ConfigError {
    /// `config/config.yaml:12`, or the flag and its variable.
    pub origin: String,
    /// Path of the key, e.g. `backend_list[0].weight`; empty when the file as a whole is at fault.
    pub key: String,
    /// What was expected and what came instead, one sentence.
    pub problem: String,
}

fn prefix(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key}: ") }
}
