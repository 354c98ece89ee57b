use super::super::report::{Page, wrap};
use super::super::subjects::SUBJECTS;
use super::*;
use crate::cli::ConfigArgs;

fn check(config: &str, interface: Option<&str>, json: bool) -> (u8, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vesper.toml");
    std::fs::write(&path, config).unwrap();
    let config = ConfigArgs { config: Some(path), interface: interface.map(str::to_owned), mode: None };
    let mut out = Vec::new();
    let code = run(&CheckArgs { config, json, ..CheckArgs::default() }, &mut out).unwrap();
    (code, String::from_utf8(out).unwrap())
}

#[test]
fn exit_codes() {
    let (code, text) = check("[capture]\nmodee = 'host'\nxdp = 'x'\n", None, false);
    assert_eq!(code, 78);
    assert!(text.contains("did you mean capture.mode?") && text.contains("unknown variant `x`"), "{text}");
    assert!(text.contains("\n  ok    kernel") || text.contains("\n  fail  kernel"), "{text}");

    let (code, text) = check("", Some("nosuchif0"), false);
    assert_eq!(code, 1);
    assert!(text.contains("  fail  interface     there is no interface nosuchif0; "), "{text}");

    let (code, json) = check("", Some("nosuchif0"), true);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &value["exit_code"], &value["schema"]), (1, &1.into(), &1.into()));
    let mut keys: Vec<&String> = value["lines"][0].as_object().unwrap().keys().collect();
    keys.sort();
    let schema = ["command", "fixable", "fixed", "group", "name", "remedy", "says", "status", "why"];
    assert_eq!(keys, schema);
    assert_eq!(value["lines"][0]["status"], "ok");
    let counted: usize = ["ok", "warn", "fail"].iter().map(|key| value[key].as_u64().unwrap() as usize).sum();
    assert_eq!(counted, value["lines"].as_array().unwrap().len());
}

fn page(page: Page, lines: &[Line], changes: &[Change]) -> String {
    let mut out = Vec::new();
    page.write(lines, changes, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn some() -> Vec<Line> {
    vec![
        Line::ok("config", "f.toml is fine"),
        Line::ok("link", "up"),
        Line::warn("promiscuous", "off").run("ip link set eth1 promisc on").advise("let vesper do it"),
        Line::fail("state", "/x: \u{1b}[2J no such folder at all, and a longer word"),
    ]
}

#[test]
fn a_page_in_a_pipe() {
    let plain = Page { width: None, colour: false, quiet: false };
    assert_eq!(
        page(plain, &some(), &[]),
        "Settings\n  \
           ok    config        f.toml is fine\n\n\
         Interface\n  \
           ok    link          up\n  \
           warn  promiscuous   off\n        \
                 why           A mirror port sends frames for others' addresses; the NIC drops them unless told not to.\n        \
                 run           ip link set eth1 promisc on\n        \
                 or            let vesper do it\n\n\
         State and disk\n  \
           fail  state         /x: \u{fffd}[2J no such folder at all, and a longer word\n        \
                 why           Alerts, the model and what was acknowledged are kept there.\n\n\
         2 ok, 1 to look at (promiscuous), 1 stops the sensor (state)\n"
    );
    let quiet = page(Page { quiet: true, ..plain }, &some(), &[]);
    assert!(quiet.starts_with("Interface\n  warn  promiscuous"), "{quiet}");
    assert!(!quiet.contains("ok  "), "{quiet}");
}

#[test]
fn a_page_on_a_terminal() {
    let narrow = page(Page { width: Some(60), colour: false, quiet: false }, &some(), &[]);
    assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
    assert!(narrow.contains("no such folder at all, and a\n                      longer word"), "{narrow}");
    let colour = page(Page { width: None, colour: true, quiet: false }, &some(), &[]);
    assert!(colour.contains("\u{1b}[33mwarn \u{1b}[0m promiscuous"), "{colour}");
    assert!(!colour.contains("\u{1b}[2J"), "what was found cannot paint");

    assert_eq!(wrap("a bc def", Some(26), 6), "a bc def");
    assert_eq!(wrap("0123456789 0123456789", Some(26), 6), "0123456789\n      0123456789");
    assert_eq!(
        wrap("a-word-that-is-longer-than-the-room b", Some(26), 6),
        "a-word-that-is-longer-than-the-room\n      b"
    );
}

#[test]
fn what_was_changed_is_said_first() {
    let change = |error: Option<&str>| Change {
        name: "promiscuous",
        command: "ip link set eth1 promisc on".to_owned(),
        error: error.map(str::to_owned),
    };
    let mended = [Line { fixed: true, ..Line::ok("promiscuous", "on") }];
    let plain = Page { width: None, colour: false, quiet: true };
    let text = page(plain, &mended, &[change(None)]);
    assert!(text.starts_with("Changed\n  done  promiscuous   ip link set eth1 promisc on\n\n"), "{text}");
    assert!(text.contains("  ok    promiscuous   on (mended)\n"), "{text}");
    assert!(text.ends_with("1 ok, 0 to look at, nothing stops the sensor\n"), "{text}");
    let text = page(plain, &mended, &[change(Some("Operation not permitted: run it as root"))]);
    assert!(text.contains("  not   promiscuous   ip link set eth1 promisc on  (Operation not"), "{text}");
}

#[test]
fn the_manual_has_every_subject() {
    let manual = include_str!("../../../../docs/check.md");
    for subject in SUBJECTS.iter().filter(|subject| !subject.why.is_empty() && subject.group != "Other") {
        let row = format!("| {} | {} | {} |", subject.group, subject.name, subject.why);
        assert!(manual.contains(&row), "docs/check.md lacks: {row}");
        assert!(subject.name.len() <= 13 && subject.why.len() <= 110, "{}", subject.name);
    }
}
