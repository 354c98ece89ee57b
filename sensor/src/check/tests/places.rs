use std::net::TcpListener;
use std::path::Path;

use super::super::disk::Room;
use super::super::{disk, places};
use super::*;
use crate::config::Config;
use crate::sinks::{SinksConfig, WebhookConfig};

const GIBIBYTE: u64 = 1 << 30;

#[test]
fn disks() {
    let at = Path::new("/var/lib/vesper");
    let room = |bytes, files| Room { bytes, size: 100 * GIBIBYTE, files };
    expect([
        (
            disk::room(at, room(50 * GIBIBYTE, Some(1 << 20)), 5 * GIBIBYTE),
            Status::Ok,
            "50.0 GiB of 100.0 GiB free",
        ),
        (disk::room(at, room(50 * GIBIBYTE, None), 5 * GIBIBYTE), Status::Ok, "free"),
        (disk::room(at, room(2 * GIBIBYTE, None), 5 * GIBIBYTE), Status::Warn, "may take 5.0 GiB more"),
        (disk::room(at, room(32 << 20, None), 5 * GIBIBYTE), Status::Fail, "too little to start"),
        (disk::room(at, room(50 * GIBIBYTE, Some(10)), 0), Status::Warn, "room for 10 more files"),
        (disk::filesystem(at, 0xef53), Status::Ok, "local"),
        (disk::filesystem(at, 0x6969), Status::Warn, "nfs at /var/lib/vesper"),
        (disk::filesystem(at, 0x0102_1994), Status::Warn, "gone with the next boot"),
        (disk::filesystem(at, 0x794c_7630), Status::Warn, "overlay"),
    ]);
}

#[test]
fn folders() {
    expect([
        (places::writable("state", Path::new("/nonexistent")), Status::Fail, "install -d -m 0750"),
        (places::writable("state", Path::new("/proc")), Status::Fail, "cannot be written"),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let lines = |path: &Path| {
        let config = Config { state_dir: path.to_owned(), ..Config::default() };
        places::folders(&config).swap_remove(0)
    };
    expect([
        (lines(folder.path()), Status::Ok, "can be written"),
        (lines(&folder.path().join("new")), Status::Ok, "will be made"),
        (lines(&folder.path().join("new/er")), Status::Fail, "No such file"),
    ]);
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    expect([(lines(folder.path()), Status::Warn, "chmod o-w")]);
}

#[test]
fn sinks_are_reached_or_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap().port();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let webhook =
        |name: &str, url: String| WebhookConfig { name: name.to_owned(), url, ..WebhookConfig::default() };
    let sinks = SinksConfig {
        webhook: vec![
            webhook("", format!("http://127.0.0.1:{open}")),
            webhook("shut", format!("http://127.0.0.1:{closed}")),
            webhook("", "http://169.254.169.254".to_owned()),
            webhook("nowhere", "http://no-such-host.invalid".to_owned()),
        ],
        ..SinksConfig::default()
    };
    let mut lines = places::peers(&Config { sinks, ..Config::default() });
    lines.truncate(4);
    for (line, name) in lines.iter().zip(["webhook_1: ", "shut: ", "webhook_3: ", "nowhere: "]) {
        assert!(line.says.starts_with(name), "in their order: {line:?}");
    }
    let mut line = || lines.remove(0);
    expect([
        (line(), Status::Ok, "answers at 127.0.0.1"),
        (line(), Status::Warn, "refused"),
        (line(), Status::Fail, "does not send to"),
        (line(), Status::Warn, "nowhere: "),
    ]);
}
