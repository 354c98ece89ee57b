//! What a machine is like, asked before anything is changed there, and whether a package can go there at all.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::package::Package;
use super::remote::Remote;
use crate::program::printable;

/// What is kept there between deployments: this package and the one before.
pub const CACHE: &str = "/var/cache/vesper";

/// Key and value a line; needs no root, and changes nothing.
const SCRIPT: &str = r#"
if [ -r /etc/os-release ]; then . /etc/os-release; fi
echo "os=$PRETTY_NAME"
echo "kernel=$(uname -r)"
echo "arch=$(dpkg --print-architecture 2>/dev/null)"
if [ "$(id -u)" = 0 ]; then echo root=yes
elif ! command -v sudo >/dev/null; then echo root=none
elif sudo -n true 2>/dev/null; then echo root=sudo
else echo root=password; fi
echo "apt=$(command -v apt-get)"
echo "rsync=$(command -v rsync)"
[ -d /run/systemd/system ] && echo systemd=yes
for name in vesper vesper-cuda; do
    state=$(dpkg-query --show --showformat '${db:Status-Abbrev}|${Version}' $name 2>/dev/null)
    case "$state" in ii*) echo "name=$name"; echo "version=${state#*|}";; esac
done
echo "free=$(df --output=avail --block-size=1 /var | tail -n 1)"
echo "interfaces=$(ls /sys/class/net | tr '\n' ' ')"
"#;

/// What a machine said of itself.
#[derive(Debug, Default)]
pub struct Facts {
    fields: BTreeMap<String, String>,
}

impl Facts {
    /// Asks; from here on `remote` knows whether it needs sudo.
    pub fn ask(remote: &mut Remote) -> Result<Facts> {
        let facts = Facts::read(&remote.ask(SCRIPT)?);
        remote.sudo = facts.get("root") == "sudo";
        Ok(facts)
    }

    fn read(text: &str) -> Facts {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Facts { fields: pairs.map(|(key, value)| (key.to_owned(), printable(value.trim()))).collect() }
    }

    fn get(&self, key: &str) -> &str {
        self.fields.get(key).map_or("", String::as_str)
    }

    /// Name and version of the package that is installed.
    pub fn installed(&self) -> Option<(&str, &str)> {
        let version = self.get("version");
        (!version.is_empty()).then(|| (self.get("name"), version))
    }

    /// A line about it.
    pub fn line(&self) -> String {
        let installed = match self.installed() {
            Some((name, version)) => format!("{name} {version} is installed"),
            None => "no vesper yet".to_owned(),
        };
        format!("{}, Linux {}, {installed}", self.get("os"), self.get("kernel"))
    }

    /// Network interfaces there.
    pub fn interfaces(&self) -> Vec<&str> {
        self.get("interfaces").split_whitespace().filter(|name| *name != "lo").collect()
    }

    /// Whether we may act as root, which looking at a sensor needs too.
    pub fn administrable(&self) -> Result<()> {
        match self.get("root") {
            "none" => bail!(
                "you are not root there, and it has no sudo: use --host root@..., or apt-get install sudo"
            ),
            "password" => bail!(
                "sudo asks for a password there, and nobody is here to type it: use --host root@..., or allow this \
                 user NOPASSWD (visudo)"
            ),
            _ => Ok(()),
        }
    }

    /// Whether the package can go there; all that is wrong is said at once.
    pub fn fit(&self, package: &Package) -> Result<()> {
        self.administrable()?;
        let mut problems = Vec::new();
        if self.get("apt").is_empty() {
            let os = self.get("os");
            problems
                .push(format!("it is no Debian ({os}): packages need apt; for others there is the .tar.gz"));
        } else if self.get("arch") != package.architecture {
            let arch = self.get("arch");
            problems.push(format!("its architecture is {arch}, the package is for {}", package.architecture));
        }
        if self.get("systemd").is_empty() {
            problems.push("systemd does not run it: nothing would start the sensor".to_owned());
        }
        if self.get("rsync").is_empty() {
            problems.push("it has no rsync: apt-get install rsync there".to_owned());
        }
        // The package, the one before, and both unpacked.
        let (free, needed) = (self.get("free").parse().unwrap_or(u64::MAX), package.bytes * 10);
        if free < needed {
            problems.push(format!("/var has {} MiB free, {} are needed", free >> 20, needed >> 20));
        }
        if !problems.is_empty() {
            bail!("it cannot take the package:\n  {}", problems.join("\n  "));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> Package {
        Package {
            file: "x.deb".into(),
            name: "vesper".into(),
            version: "2".into(),
            architecture: "amd64".into(),
            bytes: 1 << 20,
        }
    }

    const GOOD: &str = "os=Debian GNU/Linux 12 (bookworm)\nkernel=6.1\narch=amd64\nroot=yes\napt=/usr/bin/apt-get\nrsync=/usr/bin/\
                        rsync\nsystemd=yes\nname=vesper\nversion=1\nfree=99999999\ninterfaces=eth0 lo eth1 \n";

    #[test]
    fn a_good_machine_is_told_in_a_line() {
        let facts = Facts::read(GOOD);
        facts.fit(&package()).unwrap();
        assert_eq!(facts.line(), "Debian GNU/Linux 12 (bookworm), Linux 6.1, vesper 1 is installed");
        assert_eq!(facts.interfaces(), ["eth0", "eth1"]);
    }

    #[test]
    fn each_thing_that_is_missing_is_named_with_its_remedy() {
        for (from, to, said) in [
            ("root=yes", "root=none", "no sudo"),
            ("root=yes", "root=password", "NOPASSWD"),
            ("apt=/usr/bin/apt-get", "apt=", "no Debian"),
            ("arch=amd64", "arch=arm64", "arm64"),
            ("systemd=yes", "", "systemd"),
            ("rsync=/usr/bin/rsync", "rsync=", "apt-get install rsync"),
            ("free=99999999", "free=1000000", "free"),
        ] {
            let error = Facts::read(&GOOD.replace(from, to)).fit(&package()).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let empty = Facts::read("").fit(&package()).unwrap_err().to_string();
        assert!(empty.contains("no Debian") && empty.contains("rsync"), "{empty}");
    }
}
