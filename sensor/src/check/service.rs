//! Whether systemd starts the sensor, and restarts one that hangs. Unit files are read; systemd is not asked.

use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};

use super::Line;

/// Is there when systemd is the first process (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";
const UNIT: &str = "vesper.service";
/// systemd takes the first file of a name, and the drop-ins of all.
const FOLDERS: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
];

/// Nothing where another init is in charge.
pub(super) fn lines() -> Vec<Line> {
    if !Path::new(BOOTED).exists() {
        return vec![Line::ok("systemd", "not in charge here: whoever starts vesper must restart it")];
    }
    judge(unit(&FOLDERS.map(PathBuf::from)).as_deref())
}

/// The text of the unit and its drop-ins, as systemd joins them.
pub(super) fn unit(folders: &[PathBuf]) -> Option<String> {
    let mut text = folders.iter().find_map(|folder| read_to_string(folder.join(UNIT)).ok())?;
    let mut drops: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| read_dir(folder.join(format!("{UNIT}.d"))).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
        .collect();
    drops.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    for drop in drops {
        text.push('\n');
        text.push_str(&read_to_string(drop).unwrap_or_default());
    }
    Some(text)
}

pub(super) fn judge(unit: Option<&str>) -> Vec<Line> {
    let Some(unit) = unit else {
        return vec![
            Line::warn("systemd", format!("no {UNIT}"))
                .advise("install the package, or systemd/vesper.service; fine for a try by hand"),
        ];
    };
    // The last one counts.
    let setting = |key: &str| {
        let mut lines =
            unit.lines().map(str::trim).filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        lines.next_back().unwrap_or_default().trim().to_owned()
    };
    let (restart, watchdog) = (setting("Restart"), setting("WatchdogSec"));
    let edit = "systemctl edit vesper";
    let started = match restart.as_str() {
        "" | "no" => Line::warn("systemd", format!("{UNIT} does not restart what crashed"))
            .run(edit)
            .advise("[Service] Restart=on-failure"),
        restart => Line::ok("systemd", format!("{UNIT}, Restart={restart}")),
    };
    let fed = match watchdog.as_str() {
        "" | "0" | "infinity" => Line::warn("watchdog", format!("{UNIT} has none"))
            .run(edit)
            .advise("[Service] WatchdogSec=30s, with Type=notify"),
        watchdog => Line::ok("watchdog", format!("a sensor that hangs for {watchdog} is restarted")),
    };
    vec![started, fed]
}
