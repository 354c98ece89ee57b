use super::super::testing::server;
use super::*;

const LONG: Duration = Duration::from_secs(20);

fn post(url: &str, timeout: Duration) -> Outcome {
    Client::new(Path::new("")).post(url, &redacted(url), &[], b"{}", timeout)
}

#[test]
fn answers_and_what_they_mean() {
    for (answer, expected) in [
        ("200 OK", Outcome::Delivered),
        ("204 No Content", Outcome::Delivered),
        ("400 Bad\n\nno <b>\u{1b}", Outcome::Refused { error: "answered 400: no <b>\u{fffd}".to_owned() }),
        ("404 No", Outcome::Refused { error: "answered 404".to_owned() }),
        (
            "302 Moved\nlocation: http://169.254.169.254/",
            Outcome::Refused {
                error: "answered 302: redirects are not followed, set the final address".to_owned(),
            },
        ),
        ("500 Oops", Outcome::Retry { error: "answered 500".to_owned(), after: None }),
        ("408 Slow", Outcome::Retry { error: "answered 408".to_owned(), after: None }),
        ("425 Early", Outcome::Retry { error: "answered 425".to_owned(), after: None }),
        (
            "429 Slow\nretry-after: 7",
            Outcome::Retry { error: "answered 429".to_owned(), after: Some(Duration::from_secs(7)) },
        ),
        (
            "503 No\nretry-after: 99999999",
            Outcome::Retry { error: "answered 503".to_owned(), after: Some(LONGEST_RETRY_AFTER) },
        ),
        (
            "503 No\nretry-after: Wed, 21 Oct 2026 07:28:00 GMT",
            Outcome::Retry { error: "answered 503".to_owned(), after: None },
        ),
    ] {
        let (url, _requests) = server(move |_| answer.to_owned());
        assert_eq!(post(&url, LONG), expected, "{answer}");
    }
}

#[test]
fn an_answer_without_end_is_read_for_four_kibibytes() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = listener.accept().unwrap();
        let _request = super::super::testing::read_request(&stream);
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
    });
    assert_eq!(post(&url, LONG), Outcome::Delivered);
}

#[test]
fn errors_show_no_secret() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let Outcome::Retry { error, .. } = post(&format!("http://u:hunter2@{address}/?t=hunter2"), LONG) else {
        panic!()
    };
    assert!(error.contains("refused") && !error.contains("hunter2"), "{error}");
    let error = Client::new(Path::new("/nonexistent")).post("http://a", "http://a", &[], b"", LONG);
    assert!(
        matches!(&error, Outcome::Retry { error, .. } if error.contains("ca_file /nonexistent: No such file")),
        "{error:?}"
    );
    for (url, shown) in [
        ("https://soc.example.net/api", "https://soc.example.net/api"),
        ("https://user:pass@soc/api?token=x#y", "https://***@soc/api?***"),
        ("https://a:p@ss@host", "https://***@host"),
        ("https://host?key=1", "https://host?***"),
    ] {
        assert_eq!(redacted(url), shown);
    }
}

#[test]
fn metadata_services_are_never_asked_however_they_are_written() {
    for address in [
        "169.254.169.254",
        "169.254.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "100.100.100.200",
        "168.63.129.16",
        "::",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fe80::1",
        "ff02::1",
        "fd00:ec2::254",
        "::ffff:0.0.0.0",
    ] {
        assert!(is_forbidden(address.parse().unwrap()), "{address}");
    }
    for address in [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "93.184.216.34",
        "::1",
        "fd12:3456::1",
        "2001:db8::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "100.64.0.1",
    ] {
        assert!(!is_forbidden(address.parse().unwrap()), "{address}");
    }
    // What the system's resolver makes of these is an address like any other.
    for host in [
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "0xa9.254.0251.254",
        "[::ffff:169.254.169.254]",
        "0",
        "[fe80::1]",
    ] {
        let Outcome::Retry { error, .. } =
            post(&format!("http://{host}/latest/meta-data"), Duration::from_secs(2))
        else {
            panic!("{host}")
        };
        let is_refused = error.contains("the sensor does not send there");
        // A resolver may not know such a form; then nothing is sent either.
        assert!(
            is_refused
                || error.contains("lookup")
                || error.contains("resolve")
                || error.contains("not found"),
            "{host}: {error}"
        );
        assert!(is_refused || host.starts_with("0x"), "{host}: {error}");
    }
}
