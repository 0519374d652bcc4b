//! `balancerctl`.

use anyhow::{Context, Result, ensure};

use crate::Program;

/// The CLI, pointed at a control plane.
#[derive(Clone, Debug)]
pub struct Ctl {
    program: Program,
}

/// What one call left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit code.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Ctl {
    /// Points it at `endpoint`.
    pub fn new(endpoint: &str, token: Option<&str>) -> Self {
        let program = Program::new("balancerctl").env("BALANCER_ENDPOINT", endpoint);
        match token {
            Some(token) => Self { program: program.env("BALANCER_TOKEN", token) },
            None => Self { program },
        }
    }

    /// Calls it, whatever it answers.
    ///
    /// # Errors
    /// When it cannot be started, or was ended by a signal.
    pub async fn call(&self, args: &[&str]) -> Result<Output> {
        let mut command = self.program.clone().args(args).command()?;
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let code = output.status.code().context("balancerctl was ended by a signal")?;
        Ok(Output { code, stdout: text(output.stdout), stderr: text(output.stderr) })
    }

    /// Calls it and returns what it printed.
    ///
    /// # Errors
    /// When it fails.
    pub async fn run(&self, args: &[&str]) -> Result<String> {
        let output = self.call(args).await?;
        ensure!(output.code == 0, "balancerctl {args:?}: {output:?}");
        Ok(output.stdout)
    }

    /// Calls it with `-o json` and returns that.
    ///
    /// # Errors
    /// When it fails or prints something else.
    pub async fn json(&self, args: &[&str]) -> Result<serde_json::Value> {
        let printed = self.run(&[args, &["-o", "json"]].concat()).await?;
        serde_json::from_str(&printed).with_context(|| format!("not JSON: {printed}"))
    }
}
