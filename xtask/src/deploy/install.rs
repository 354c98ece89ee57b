//! One machine, from what it has to what it shall have: nothing is changed before it is known that it can be, each step is said,
//! and a version that does not get ready gives way to the one before.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::options::Options;
use super::package::{Package, file_name};
use super::probe::{CACHE, Facts};
use super::remote::{Remote, last_lines, quoted};
use super::sensor::{self, Sensor};
use crate::program::printable;
use crate::step::announced;

/// Brings the package to a machine and says what it did.
pub fn install(remote: &mut Remote, package: &Package, options: &Options) -> Result<()> {
    let facts = Facts::ask(remote)?;
    println!("  there: {}", facts.line());
    facts.fit(package)?;
    let former = facts.installed();
    interface(&facts, former.is_some(), options)?;
    if former == Some((&package.name, &package.version)) {
        println!("  {} {} is there already: nothing to install", package.name, package.version);
    }
    if options.dry_run {
        plan(&facts, package, options);
        return Ok(());
    }
    let back = prepare(remote, &facts, package)?;
    if former != Some((&package.name, &package.version)) {
        announced("  installing it", || apt(remote, &package.file_name()))?;
    }
    let done = put_to_work(remote, former.is_some(), options);
    match done {
        Ok(sensor) => {
            tidy(remote, package, back.as_deref())?;
            println!("  ready: {}", sensor.words);
            println!("  ledger: {}", sensor.ledger());
            Ok(())
        }
        Err(error) => Err(roll_back(remote, error, former, back.as_deref(), options)),
    }
}

/// The interface must be told once, and be there.
fn interface(facts: &Facts, upgrade: bool, options: &Options) -> Result<()> {
    let there = facts.interfaces();
    match options.settings.interface() {
        Some(name) if !there.contains(&name) => {
            bail!("there is no interface {name}; there are: {}", there.join(", "))
        }
        None if !upgrade => {
            bail!("the first time it must be told what to watch: --interface, one of {}", there.join(", "))
        }
        _ => Ok(()),
    }
}

fn plan(facts: &Facts, package: &Package, options: &Options) {
    let mut would = vec![format!("copy {} to {CACHE}", package.file_name())];
    match facts.installed() {
        Some((name, version)) if (name, version) == (package.name.as_str(), package.version.as_str()) => {}
        Some((_, version)) => {
            would.push(format!("upgrade {version} to {}, settings and database kept", package.version))
        }
        None => would.push(format!("install {}", package.version)),
    }
    would.extend(options.settings.shown().into_iter().map(|line| format!("set {line}")));
    would.extend(options.credentials.iter().map(|(name, _)| format!("put the credential {name}")));
    would.push("check the box, start it, and wait until it is ready".to_owned());
    if let Some((_, version)) = facts.installed() {
        would.push(format!("go back to {version} if it is not ready within {} s", options.wait.as_secs()));
    }
    for line in would {
        println!("  would {line}");
    }
    println!("  nothing was changed");
}

/// Brings the package there and tries whether its program runs; gives the former package's file, if there is a way back.
fn prepare(remote: &Remote, facts: &Facts, package: &Package) -> Result<Option<String>> {
    remote.run(&format!("install -d -m 700 {CACHE}"))?;
    announced(
        &format!("  copying {} ({:.1} MiB)", package.file_name(), package.bytes as f64 / f64::from(1 << 20)),
        || {
            remote.send(&package.file, CACHE)?;
            let name = package.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            remote.run(&format!(
                "cd {CACHE} && if [ {0} != {1} ]; then mv -- {0} {1}; fi",
                quoted(&name),
                quoted(&package.file_name())
            ))
        },
    )?;
    let back = match facts.installed() {
        Some((name, version)) => former(remote, package, name, version)?,
        None => None,
    };
    announced("  trying whether its program runs there and takes the settings", || {
        remote.run(&format!(
            "cd {CACHE} && rm -rf try && dpkg-deb --extract {} try && try/usr/bin/vesper --version && if [ -e \
             /etc/vesper/vesper.toml ]; then try/usr/bin/vesper config show --config /etc/vesper/vesper.toml >/dev/null; fi; \
             result=$?; rm -rf try; exit $result",
            quoted(&package.file_name())
        ))
    })
    .context("this package is not for that machine; nothing was changed")?;
    Ok(back)
}

/// The package that is installed: kept there from the last time, or still here beside the new one.
fn former(remote: &Remote, package: &Package, name: &str, version: &str) -> Result<Option<String>> {
    let file = file_name(name, version, &package.architecture);
    let kept = remote.tried(&format!("test -e {CACHE}/{}", quoted(&file)))?.0;
    if !kept {
        match package.file.parent().map(|folder| folder.join(&file)).filter(|file| file.exists()) {
            Some(here) => remote.send(&here, CACHE)?,
            None => {
                println!("  no way back: {file} is neither kept there nor here beside the new one");
                return Ok(None);
            }
        }
    }
    Ok(Some(file))
}

fn apt(remote: &Remote, file: &str) -> Result<()> {
    let (done, said) = remote.tried(&format!(
        "cd {CACHE} && apt-get install -y -q --allow-downgrades --reinstall -o Dpkg::Options::=--force-confdef -o \
         Dpkg::Options::=--force-confold ./{}",
        quoted(file)
    ))?;
    if !done {
        bail!("apt-get could not install it:\n  {}", last_lines(&said, 15));
    }
    Ok(())
}

/// Writes the settings, checks, starts, waits.
fn put_to_work(remote: &Remote, upgrade: bool, options: &Options) -> Result<Sensor> {
    let changed = !options.settings.is_empty() || !options.credentials.is_empty();
    if changed {
        announced("  writing settings", || configure(remote, options))?;
        for line in options.settings.shown() {
            println!("    {line}");
        }
    }
    if !upgrade {
        check(remote)?;
    }
    let action = if upgrade && !changed { "start" } else { "restart" };
    announced("  waiting until it is ready", || {
        // It may fail to start at once; then the wait below tells how it is.
        let _said = remote
            .tried(&format!("systemctl enable --quiet vesper; systemctl {action} --no-block vesper"))?;
        sensor::wait(remote, options.wait)
    })
}

fn configure(remote: &Remote, options: &Options) -> Result<()> {
    const FILE: &str = "/etc/vesper/vesper.toml";
    if !options.settings.is_empty() {
        let text = options.settings.apply(&remote.run(&format!("cat {FILE}"))?);
        // In one step, with owner and mode as they were; the former is beside it.
        remote.run(&format!(
            "cp -p {FILE} {FILE}.before-deploy && cp -p {FILE} {FILE}.new && cat > {FILE}.new <<'END-OF-SETTINGS'\n{text}END-OF-SETTINGS\n\
             mv {FILE}.new {FILE}"
        ))?;
    }
    if options.credentials.is_empty() {
        return Ok(());
    }
    let mut unit = "[Service]\n".to_owned();
    for (name, file) in &options.credentials {
        remote.run("install -d -m 700 /etc/vesper/credentials")?;
        remote.send(file, "/etc/vesper/credentials")?;
        let sent = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        remote.run(&format!(
            "cd /etc/vesper/credentials && if [ {0} != {1} ]; then mv -- {0} {1}; fi",
            quoted(&sent),
            quoted(name)
        ))?;
        unit += &format!("LoadCredential={name}:/etc/vesper/credentials/{name}\n");
    }
    remote.run(&format!(
        "install -d /etc/systemd/system/vesper.service.d && cat > /etc/systemd/system/vesper.service.d/credentials.conf \
         <<'END-OF-UNIT'\n{unit}END-OF-UNIT\nsystemctl daemon-reload"
    ))?;
    Ok(())
}

/// As the unit will see it: with the credentials that it is given.
const CHECK: &str = "[ -d /etc/vesper/credentials ] && export CREDENTIALS_DIRECTORY=/etc/vesper/credentials; vesper check --json";

/// Shows what `vesper check` finds; what stops the sensor stops us.
fn check(remote: &Remote) -> Result<()> {
    let (_, said) = announced("  checking the box (vesper check)", || remote.tried(CHECK))?;
    let found: Value = serde_json::from_str(&said)
        .with_context(|| format!("vesper check said: {}", last_lines(&said, 5)))?;
    let lines = found["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
    let field = |line: &Value, name: &str| printable(line[name].as_str().unwrap_or_default());
    for line in lines.iter().filter(|line| line["status"] != "ok") {
        println!("    {:<5} {:<13} {}", field(line, "status"), field(line, "name"), field(line, "says"));
        for help in ["command", "remedy"].map(|name| field(line, name)) {
            if !help.is_empty() {
                println!("    {:<19} -> {help}", "");
            }
        }
    }
    let stops = lines.iter().filter(|line| line["status"] == "fail").count();
    if stops > 0 {
        bail!("vesper check finds {stops} that stop the sensor: mend them, then deploy again");
    }
    println!("    {} ok", lines.iter().filter(|line| line["status"] == "ok").count());
    Ok(())
}

/// Says what went wrong, puts back what was there, and says how that went.
fn roll_back(
    remote: &Remote,
    error: anyhow::Error,
    former: Option<(&str, &str)>,
    back: Option<&str>,
    options: &Options,
) -> anyhow::Error {
    println!("  NOT READY: {error:#}");
    let log = remote
        .tried("journalctl --unit vesper --lines 120 --no-pager --output cat | grep --invert-match '^ *ok '");
    if let Ok((_, log)) = log
        && !log.trim().is_empty()
    {
        println!("  the end of its log:\n    {}", last_lines(&log, 50).replace("\n", "\n  "));
    }
    let (Some((_, version)), Some(back)) = (former, back) else {
        let _stopped = remote.tried("systemctl stop vesper");
        return error.context(
            "the sensor was stopped, settings and package are left as they are: mend it, then deploy again",
        );
    };
    let restored = announced(&format!("  going back to {version}"), || {
        let _said = remote.tried(
            "if [ -e /etc/vesper/vesper.toml.before-deploy ]; then mv /etc/vesper/vesper.toml.before-deploy \
             /etc/vesper/vesper.toml; fi; systemctl stop vesper; systemctl reset-failed vesper",
        )?;
        apt(remote, back)?;
        let _said = remote.tried("systemctl start --no-block vesper")?;
        sensor::wait(remote, options.wait)
    });
    match restored {
        Ok(sensor) => {
            println!("  {version} is back and ready: {}", sensor.words);
            println!("  ledger: {}", sensor.ledger());
            error.context(format!("the new version did not get ready; {version} is back and watches"))
        }
        Err(worse) => {
            error.context(format!("{} IS BLIND: {version} did not get ready either: {worse:#}", remote.name))
        }
    }
}

/// Keeps this package and the one before.
fn tidy(remote: &Remote, package: &Package, back: Option<&str>) -> Result<()> {
    let (this, former) = (package.file_name(), back.unwrap_or_default());
    remote.run(&format!(
        "rm -f /etc/vesper/vesper.toml.before-deploy; cd {CACHE} && for file in *.deb; do case \"$file\" in {}|{}) ;; *) rm -f -- \
         \"$file\";; esac; done",
        quoted(&this),
        quoted(former)
    ))?;
    Ok(())
}
