//! Another machine, reached by the system's own ssh and rsync, so that agents, configuration and jump hosts work as the user
//! knows them. In go scripts, out comes what they said, or why there was no answer in words that name the remedy.

use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, anyhow, bail};

use super::options::Options;
use crate::program;

/// One machine.
pub struct Remote {
    /// As the user calls it.
    pub name: String,
    /// Options of ssh, for rsync too.
    ssh: Vec<String>,
    /// Whether we are not root there.
    pub sudo: bool,
    /// Holds the socket of the connection that all commands share.
    sockets: PathBuf,
}

impl Remote {
    /// Prepares; nothing is sent yet.
    pub fn new(name: &str, options: &Options, number: usize) -> Result<Remote> {
        let sockets = std::env::temp_dir().join(format!("vesper-deploy-{}-{number}", std::process::id()));
        // Others must not find a way in; one that is there already is not ours.
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&sockets)
            .with_context(|| format!("make {}", sockets.display()))?;
        let mut ssh: Vec<String> =
            ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15"]
                .map(str::to_owned)
                .into();
        ssh.extend(["-o", "ControlMaster=auto", "-o", "ControlPersist=60"].map(str::to_owned));
        ssh.extend(["-o".to_owned(), format!("ControlPath={}/%C", sockets.display())]);
        let mut option = |flag: &str, value: String| ssh.extend([flag.to_owned(), value]);
        if let Some(port) = options.port {
            option("-p", port.to_string());
        }
        if let Some(identity) = &options.identity {
            option("-i", identity.display().to_string());
        }
        if let Some(config) = &options.ssh_config {
            option("-F", config.display().to_string());
        }
        Ok(Remote { name: name.to_owned(), ssh, sudo: false, sockets })
    }

    /// Runs a script as the user we are there.
    pub fn ask(&self, script: &str) -> Result<String> {
        let output = self.shell(&["bash", "-s"], script)?;
        self.judged(&output)
    }

    /// Runs a script as root.
    pub fn run(&self, script: &str) -> Result<String> {
        let (done, said) = self.tried(script)?;
        if !done {
            bail!("{}", last_lines(&said, 15));
        }
        Ok(said)
    }

    /// Runs a script as root: whether it succeeded, and all it said.
    pub fn tried(&self, script: &str) -> Result<(bool, String)> {
        let shell: &[&str] = if self.sudo { &["sudo", "-n", "bash", "-s"] } else { &["bash", "-s"] };
        let output = self.shell(
            shell,
            &format!("exec 2>&1\nexport LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive\n{script}"),
        )?;
        self.reached(&output)?;
        Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    /// Puts a file into a folder there, owned by root.
    pub fn send(&self, file: &Path, folder: &str) -> Result<()> {
        let mut rsync = Command::new(program::find("rsync").context("find rsync")?);
        // Words that ssh and rsync both split at spaces: our own folders and numbers; quotes serve the rest.
        let ssh: Vec<String> =
            std::iter::once("ssh".to_owned()).chain(self.ssh.iter().map(|word| quoted(word))).collect();
        rsync.args(["--times", "--chmod=F600", "--timeout=60", "--rsh"]).arg(ssh.join(" "));
        if self.sudo {
            rsync.args(["--rsync-path", "sudo -n rsync"]);
        }
        rsync.arg("--").arg(file).arg(format!("{}:{folder}/", self.name)).stdin(Stdio::null());
        let output = rsync.output().context("start rsync")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("rsync could not bring {} to {}: {}", file.display(), self.name, last_lines(&said, 5));
        }
        Ok(())
    }

    fn shell(&self, command: &[&str], script: &str) -> Result<Output> {
        let mut ssh = Command::new(program::find("ssh").context("find ssh")?);
        ssh.args(&self.ssh).arg("--").arg(&self.name).args(command);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = ssh.spawn().context("start ssh")?;
        // A connection that is refused takes no input; what ssh says then is the better message.
        let _refused = child.stdin.take().context("ssh has no input")?.write_all(script.as_bytes());
        child.wait_with_output().context("wait for ssh")
    }

    fn judged(&self, output: &Output) -> Result<String> {
        self.reached(output)?;
        if !output.status.success() {
            bail!("{}", last_lines(&String::from_utf8_lossy(&output.stderr), 10));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// 255 is ssh's own: the command was never run, or the connection broke.
    fn reached(&self, output: &Output) -> Result<()> {
        if output.status.code() != Some(255) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(unreached(&self.name, &said))
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(ssh) = program::find("ssh") {
            let mut close = Command::new(ssh);
            close.args(&self.ssh).args(["-O", "exit", "--"]).arg(&self.name);
            let _gone_already = close.stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        let _left = fs::remove_dir_all(&self.sockets);
    }
}

/// Why ssh did not get through, and what to do.
fn unreached(name: &str, said: &str) -> anyhow::Error {
    let has = |text: &str| said.contains(text);
    let remedy = if has("Permission denied") {
        format!("it refuses the key: put it there with ssh-copy-id {name}, or name another with --identity")
    } else if has("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        "its host key is another than before: find out why, then ssh-keygen -R the old one".to_owned()
    } else if has("Host key verification failed") {
        format!(
            "its host key is not known here yet: connect once with ssh {name}, and compare the fingerprint"
        )
    } else if has("Could not resolve hostname") {
        "there is no such name: is it spelt right, or in ssh's configuration?".to_owned()
    } else if has("Connection refused") {
        "nothing listens there: is sshd running, is --port right?".to_owned()
    } else if has("timed out") || has("No route to host") || has("Network is unreachable") {
        "there is no way to it: is it switched on, is a firewall between?".to_owned()
    } else {
        format!("try: ssh {name}")
    };
    anyhow!("cannot be reached: {remedy}\n  ssh said: {}", last_lines(said, 3))
}

/// One word for a shell.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The end of what was said, as it may be shown on a terminal.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<String> = text.trim_end().lines().map(program::printable).collect();
    lines[lines.len().saturating_sub(count)..].join("\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_not_to_get_through_has_its_remedy() {
        for (said, remedy) in [
            ("root@a: Permission denied (publickey).", "ssh-copy-id"),
            ("Host key verification failed.", "fingerprint"),
            ("ssh: Could not resolve hostname a: Name or service not known", "spelt"),
            ("ssh: connect to host a port 22: Connection refused", "sshd"),
            ("ssh: connect to host a port 22: Connection timed out", "firewall"),
            ("something else", "try: ssh a"),
        ] {
            let text = unreached("a", said).to_string();
            assert!(text.contains(remedy) && text.contains(said), "{text}");
        }
    }

    #[test]
    fn words_stay_words() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(last_lines("a\nb\u{1b}[31m\nc\n", 2), "b [31m\n  c");
    }
}
