use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, sync_channel};

use super::super::testing::{alert, hostile_alert, of_alert, secret_file};
use super::*;

const LONG: Duration = Duration::from_secs(20);

/// A mail server: one mail a connection, `answers` by the command they are for; else all is well. What it was sent
/// arrives whole, commands and mail.
fn stub(answers: &'static [(&'static str, &'static str)]) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = sync_channel(100);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let mut out = stream.try_clone().unwrap();
            let mut said = String::new();
            let _gone = out.write_all(b"220 stub ESMTP\r\n");
            let mut mail = false;
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                said.push_str(&line);
                said.push('\n');
                let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
                let answer = match (mail, verb.as_str()) {
                    (true, _) if line == "." => {
                        mail = false;
                        "250 queued"
                    }
                    (true, _) => continue,
                    (_, verb) => match answers.iter().find(|(command, _)| *command == verb) {
                        Some((_, answer)) => answer,
                        None => match verb {
                            "EHLO" => "250-stub\r\n250 AUTH PLAIN LOGIN",
                            "AUTH" => "235 welcome",
                            "DATA" => {
                                mail = true;
                                "354 go on"
                            }
                            "QUIT" => "221 bye",
                            _ => "250 fine",
                        },
                    },
                };
                if out.write_all(format!("{answer}\r\n").as_bytes()).is_err() || verb == "QUIT" {
                    break;
                }
            }
            if sender.send(said).is_err() {
                return;
            }
        }
    });
    (port, receiver)
}

fn to(port: u16) -> EmailConfig {
    EmailConfig {
        server: "127.0.0.1".to_owned(),
        port,
        security: EmailSecurity::None,
        from: "Vesper <vesper@example.net>".to_owned(),
        to: vec!["soc@example.net".to_owned(), "Night <night@example.net>".to_owned()],
        ..EmailConfig::default()
    }
}

#[test]
fn a_mail_from_greeting_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let (port, mails) = stub(&[]);
    let password_file = secret_file(folder.path(), "password", "hunter2");
    let config = EmailConfig { user: "vesper".to_owned(), password_file, ..to(port) };
    let mut email = Email::new(&config, "box-1", "https://vesper.example.net:8888");
    assert_eq!(email.one(&of_alert(7, &alert(1)), LONG), Outcome::Delivered);
    let said = mails.recv().unwrap();
    assert!(said.contains("AUTH PLAIN AHZlc3BlcgBodW50ZXIy\n"), "{said}");
    assert!(
        said.contains("MAIL FROM:<vesper@example.net>") && said.contains("RCPT TO:<night@example.net>"),
        "{said}"
    );
    let mail = said.split("DATA\n").nth(1).unwrap();
    let mail: String =
        mail.lines().filter(|line| !line.starts_with("Date: ")).map(|line| format!("{line}\n")).collect();
    assert_eq!(
        mail.split("\nQUIT").next().unwrap().trim_end(),
        "From: Vesper <vesper@example.net>\n\
         Subject: [box-1] High PortScan: 10.0.0.1:40000 to 10.0.0.2:443\n\
         Message-ID: <THREAT_20260101_001@box-1.vesper>\n\
         To: soc@example.net, Night <night@example.net>\n\
         Content-Type: text/plain; charset=utf-8\n\
         Content-Transfer-Encoding: 7bit\n\
         \n\
         High PortScan\n\
         \n\
         10.0.0.1 tried 100 ports of 10.0.0.2\n\
         \n\
         Source: 10.0.0.1:40000\n\
         Destination: 10.0.0.2:443\n\
         Protocol: TCP\n\
         Confidence: 90 %\n\
         Recommended action: block 10.0.0.1 at the firewall\n\
         Similar incident: INC-2026-001, 87 % alike\n\
         Time: 2026-01-01T00:00:00Z\n\
         Id: THREAT_20260101_001\n\
         Console: https://vesper.example.net:8888/#/alerts/THREAT_20260101_001\n\
         \n\
         ."
    );
    assert!(!format!("{email:?}").contains("hunter2"));
    // What follows names the first one.
    let mut resolved = of_alert(9, &alert(1));
    resolved.told = Told::Resolved;
    assert_eq!(email.one(&resolved, LONG), Outcome::Delivered);
    let said = mails.recv().unwrap();
    assert!(said.contains("Message-ID: <THREAT_20260101_001.9@box-1.vesper>"), "{said}");
    assert!(said.contains("In-Reply-To: <THREAT_20260101_001@box-1.vesper>"), "{said}");
}

#[test]
fn hostile_text_adds_no_header_and_ends_no_mail() {
    let (port, mails) = stub(&[]);
    let mut email = Email::new(&to(port), "box-1", "");
    let mut hostile = hostile_alert(1);
    hostile.details.narrative = "\r\n.\r\nMAIL FROM:<evil@example>\r\n".to_owned();
    let many: Vec<_> = (0..60).map(|n| of_alert(n.into(), &hostile_alert(n))).collect();
    assert_eq!(email.one(&of_alert(1, &hostile), LONG), Outcome::Delivered);
    assert_eq!(email.summary(&Summary::of(&many), LONG), Outcome::Delivered);
    for _mail in 0..2 {
        let said = mails.recv().unwrap();
        assert!(
            !said.lines().any(|line| line.starts_with("Bcc") || line.starts_with("MAIL FROM:<evil")),
            "{said}"
        );
        assert_eq!(said.lines().filter(|line| *line == ".").count(), 1, "{said}");
        assert!(said.lines().all(|line| line.len() <= 1000), "{said}");
    }
}

#[test]
fn what_the_server_says_and_what_becomes_of_it() {
    let one = |answers, config: &dyn Fn(u16) -> EmailConfig| {
        let (port, _mails) = stub(answers);
        Email::new(&config(port), "box-1", "").one(&of_alert(1, &alert(1)), Duration::from_secs(5))
    };
    for (answers, permanent, text) in [
        (&[("RCPT", "550 no such user")][..], true, "no such user"),
        (&[("RCPT", "451 try later")], false, "try later"),
        (&[("MAIL", "421 busy")], false, "busy"),
        (&[("MAIL", "530 log in first")], false, "log in first"),
        (&[("DATA", "554 spam")], true, "spam"),
    ] {
        match (one(answers, &to), permanent) {
            (Outcome::Refused { error }, true) | (Outcome::Retry { error, .. }, false) => {
                assert!(error.contains(text), "{error}")
            }
            (outcome, _) => panic!("{answers:?}: {outcome:?}"),
        }
    }
    // A server that cannot do TLS gets nothing, and neither does a login without a password.
    let starttls = |port| EmailConfig { security: EmailSecurity::Starttls, ..to(port) };
    assert!(matches!(one(&[], &starttls), Outcome::Retry { .. }));
    let login = |port| EmailConfig { user: "u".to_owned(), password_file: "/nonexistent".into(), ..to(port) };
    assert!(
        matches!(one(&[], &login), Outcome::Retry { error, .. } if error.contains("/nonexistent: No such file"))
    );
    assert!(matches!(one(&[], &|_| to(1)), Outcome::Retry { error, .. } if error.contains("refused")));
}
