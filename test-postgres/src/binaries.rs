//! The server's programs, and the user they run as.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

const DEBIAN: &str = "/usr/lib/postgresql";

/// Where `initdb` and `postgres` are, and who runs them.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    directory: PathBuf,
    /// uid and gid to run as; `None`: one's own. PostgreSQL refuses to run as root.
    user: Option<(u32, u32)>,
}

impl Binaries {
    /// The newest version under Debian's directory, else what is on the PATH.
    pub(crate) fn find() -> Result<Self> {
        let directory = newest_of_debian().or_else(on_path).context(
            "no PostgreSQL server is installed: run `apt-get install postgresql` (or `make test`, which does)",
        )?;
        Ok(Self { directory, user: user()? })
    }

    /// A command that runs one of the programs as the right user.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.directory.join(program));
        command.stdin(Stdio::null()).env("LC_ALL", "C").env_remove("PGOPTIONS").current_dir("/");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Runs a program to its end; an error holds what it said.
    pub(crate) fn run<'a>(&self, program: &str, arguments: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let output = self.command(program).args(arguments).output().with_context(|| program.to_owned())?;
        if !output.status.success() {
            bail!("{program}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Gives a file or directory to the user.
    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        match self.user {
            Some((uid, gid)) => chown(path, Some(uid), Some(gid)).with_context(|| path.display().to_string()),
            None => Ok(()),
        }
    }

    /// Writes a file that only the user can read.
    pub(crate) fn write_private(&self, path: &Path, text: &str) -> Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        self.own(path)
    }
}

fn newest_of_debian() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN).ok()?.flatten().filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    versions.filter(|(_, bin)| bin.join("initdb").exists()).max().map(|(_, bin)| bin)
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .find(|directory| directory.join("initdb").exists() && directory.join("postgres").exists())
}

/// `postgres`, else `nobody`, when running as root.
fn user() -> Result<Option<(u32, u32)>> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd")?;
    let entry = |name: &str| {
        let fields: Vec<&str> = passwd.lines().map(|l| l.split(':').collect()).find(|f: &Vec<&str>| f[0] == name)?;
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    let user = entry("postgres").or_else(|| entry("nobody"));
    user.map(Some).context("PostgreSQL does not run as root, and there is no user postgres or nobody")
}
