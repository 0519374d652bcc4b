//! A configuration file made for a story.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

/// The keys that stories set; [`write`](Self::write) makes a `config.yaml` of them.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// Database URL.
    pub database_url: String,
    /// Backends, all with the default health check.
    pub backend_urls: Vec<String>,
    /// `unlimited`, or a mapping in braces.
    pub default_limits: String,
    /// Further keys of the top level, as YAML lines.
    pub more: String,
}

impl ConfigFile {
    /// No backends, no default limit.
    pub fn new(database_url: String) -> Self {
        Self { database_url, backend_urls: Vec::new(), default_limits: "unlimited".into(), more: String::new() }
    }

    /// Writes it into `dir`; all ports are free ones, health checks come ten times a second.
    ///
    /// The admin port is not on 127.0.0.1: there, while a control plane is down, the kernel may give its port to a
    /// client, even to one that tries to reach it and so meets itself.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, dir: &Path) -> Result<PathBuf> {
        let path = dir.join("config.yaml");
        fs::write(&path, self.yaml())?;
        Ok(path)
    }

    fn yaml(&self) -> String {
        let Self { database_url, backend_urls, default_limits, more } = self;
        let backends: String = backend_urls.iter().map(|url| format!("  - backend_url: {url}\n")).collect();
        let backends = if backends.is_empty() { " []\n".into() } else { format!("\n{backends}") };
        format!(
            "server: {{ host: 127.0.0.1, port: 0 }}\nadmin: {{ host: 127.0.0.2, port: 0 }}\nticker_rate_sec: 0.1\n\
             default_limits: {default_limits}\ndatabase: {{ url: \"{database_url}\" }}\n{more}\nbackend_list:{backends}"
        )
    }
}
