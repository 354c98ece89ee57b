//! A real mail server that wants TLS and a login: Debian's aiosmtpd, with a certificate of an authority of our own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::super::testing::{alert, hostile_alert, of_alert, secret_file};
use super::*;

const LONG: Duration = Duration::from_secs(20);
const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/smtp/server.py");

struct Real {
    child: Child,
    out: BufReader<ChildStdout>,
    port: u16,
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Real {
    /// Its certificate is for `localhost`, signed by the authority in `ca.pem`.
    fn start(folder: &Path, mode: &str) -> Real {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let root = authority.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let own = own.signed_by(&key, &issuer).unwrap();
        for (name, text) in
            [("ca.pem", root.pem()), ("cert.pem", own.pem()), ("key.pem", key.serialize_pem())]
        {
            std::fs::write(folder.join(name), text).unwrap();
        }
        // Debian's own, which knows Debian's packages.
        let mut child = Command::new("/usr/bin/python3")
            .args([SERVER, mode])
            .args([folder.join("cert.pem"), folder.join("key.pem")])
            .args(["vesper", "hunter2"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("python3-aiosmtpd: cargo xtask setup");
        Real { child, out, port }
    }

    fn mail(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

fn error(outcome: Outcome) -> String {
    match outcome {
        Outcome::Retry { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

#[test]
#[ignore = "needs python3-aiosmtpd of Debian"]
fn mails_go_by_tls_and_with_a_login_or_not_at_all() {
    for (mode, security) in [("starttls", EmailSecurity::Starttls), ("tls", EmailSecurity::Tls)] {
        let folder = tempfile::tempdir().unwrap();
        let mut real = Real::start(folder.path(), mode);
        let config = EmailConfig {
            server: "localhost".to_owned(),
            port: real.port,
            security,
            ca_file: folder.path().join("ca.pem"),
            from: "Vesper <vesper@example.net>".to_owned(),
            to: vec!["soc@example.net".to_owned()],
            user: "vesper".to_owned(),
            password_file: secret_file(folder.path(), "password", "hunter2"),
            ..EmailConfig::default()
        };
        let send = |config: &EmailConfig, number: u32, alert: &crate::alert::Alert| {
            Email::new(config, "box-1", "").one(&of_alert(number.into(), alert), LONG)
        };
        assert_eq!(send(&config, 1, &alert(1)), Outcome::Delivered, "{mode}");
        let mail = real.mail();
        assert_eq!((&mail["login"], &mail["tls"]), (&true.into(), &true.into()), "{mail}");
        assert_eq!(mail["to"][0], "soc@example.net");
        let data = mail["data"].as_str().unwrap();
        assert!(data.contains("Message-ID: <THREAT_20260101_001@box-1.vesper>"), "{data}");
        assert!(data.contains("10.0.0.1 tried 100 ports of 10.0.0.2"), "{data}");

        assert_eq!(send(&config, 2, &hostile_alert(2)), Outcome::Delivered, "{mode}");
        let data = real.mail()["data"].as_str().unwrap().to_owned();
        assert!(!data.lines().any(|line| line.starts_with("Bcc")), "{data}");

        // A wrong password, an authority that is not known, another name than the certificate's.
        let password_file = secret_file(folder.path(), "wrong", "hunter3");
        let said = error(send(&EmailConfig { password_file, ..config.clone() }, 3, &alert(3)));
        assert!(said.contains("535") && !said.contains("hunter3"), "{said}");
        let said = error(send(&EmailConfig { ca_file: "".into(), ..config.clone() }, 3, &alert(3)));
        assert!(said.contains("UnknownIssuer"), "{said}");
        let server = "127.0.0.1".to_owned();
        let said = error(send(&EmailConfig { server, ..config.clone() }, 3, &alert(3)));
        assert!(said.contains("not valid for name"), "{said}");
        // The settings of the other kind of TLS get nowhere, and nothing in clear.
        let other = if mode == "tls" { EmailSecurity::Starttls } else { EmailSecurity::Tls };
        let said = Email::new(&EmailConfig { security: other, ..config.clone() }, "box-1", "")
            .one(&of_alert(3, &alert(3)), Duration::from_secs(3));
        error(said);
        // The server still takes what is right, so none of these was a mail.
        assert_eq!(send(&config, 4, &alert(4)), Outcome::Delivered, "{mode}");
        assert!(real.mail()["data"].as_str().unwrap().contains("THREAT_20260101_004"));
    }
}
