//! A name in two parts: the domain that somebody registered, and what its owner is free to write in front of it.

/// Second levels under which countries register names, as `co` in `co.uk`. Without one, all of a country's trade would
/// be one domain; where one is missing here, some unrelated domains share an entry.
const SECOND_LEVELS: [&str; 27] = [
    "ac", "adm", "asso", "co", "com", "ed", "edu", "firm", "gen", "go", "gob", "gouv", "gov", "gv", "id",
    "ind", "inf", "info", "ltd", "me", "mil", "ne", "net", "nom", "or", "org", "plc",
];
/// Labels that say what a name is for (RFC 8552, RFC 6376, RFC 7489). Providers of mail have names of thousands of
/// tenants under them.
const SERVICE_LABELS: [&str; 9] =
    ["_domainkey", "_dmarc", "_spf", "_mta-sts", "_smtp", "_acme-challenge", "_report", "_tcp", "_udp"];
/// What such a name is taken to carry, of what it could; and of what is answered to names of a known form.
pub const KNOWN_FORM: f32 = 0.05;
/// An address spelt in labels, as for a reverse lookup or a block list, says this much that is new, bytes: such names are
/// asked for in order, and what they say is known already.
const ADDRESS: f32 = 1.0;
/// Letters alone up to this length are words.
const WORD: usize = 20;

/// A name, taken apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parts<'a> {
    /// What was registered, such as `example.co.uk`; empty where the name ends in nothing that could be: tunnels that
    /// talk to their server directly end their names in data.
    pub registered: &'a [u8],
    /// In front of it.
    pub free: &'a [u8],
    /// About how many bytes of data `free` carries: what its alphabets could hold, less what has a known form.
    pub carried: f32,
    /// It has a label that says what it is for, such as `_domainkey`, or spells an address: `carried` is less for that.
    pub known_form: bool,
}

/// Takes a name apart.
pub fn parts(name: &[u8]) -> Parts<'_> {
    let (free, registered) = name.split_at(registered_at(name));
    let free = if registered.is_empty() { free } else { free.strip_suffix(b".").unwrap_or(free) };
    // Resolvers spell names in random case to be harder to deceive (draft-vixie-dnsext-dns0x20): not only this part.
    let random_case = mixed_case(registered);
    let (mut bits, mut service, mut numbers, mut nibbles) = (0.0, false, 0, 0);
    for label in free.split(|&byte| byte == b'.') {
        service |= label.starts_with(b"_")
            && SERVICE_LABELS.iter().any(|known| label.eq_ignore_ascii_case(known.as_bytes()));
        numbers += usize::from(label.len() <= 3 && label.iter().all(u8::is_ascii_digit));
        nibbles += usize::from(label.len() == 1 && label[0].is_ascii_hexdigit());
        bits += label.split(|byte| b"-_".contains(byte)).map(|word| bits_of(word, random_case)).sum::<f32>();
    }
    let spelt = if numbers == 4 { 4.0 } else { nibbles as f32 / 2.0 };
    let carried = match (service, numbers == 4 || nibbles >= 16) {
        (true, _) => KNOWN_FORM * bits / 8.0,
        (false, true) => (bits / 8.0 - spelt).max(0.0) + ADDRESS,
        (false, false) => bits / 8.0,
    };
    Parts { registered, free, carried, known_form: service || numbers == 4 || nibbles >= 16 }
}

/// Where the registered part begins.
fn registered_at(name: &[u8]) -> usize {
    let mut begins = name.iter().enumerate().rev().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at + 1);
    let Some(last) = begins.next().filter(|&at| top_level(&name[at..])) else {
        return name.len();
    };
    let second = begins.next().unwrap_or(0);
    let label = &name[second..last - 1];
    let shared =
        name.len() - last == 2 && SECOND_LEVELS.iter().any(|l| label.eq_ignore_ascii_case(l.as_bytes()));
    if second > 0 && shared { begins.next().unwrap_or(0) } else { second }
}

/// Whether this may be a top-level domain: letters, or an internationalized one.
fn top_level(label: &[u8]) -> bool {
    let letters = (2..=18).contains(&label.len()) && label.iter().all(u8::is_ascii_alphabetic);
    letters || (label.len() > 4 && label[..4].eq_ignore_ascii_case(b"xn--"))
}

/// Bits that a word may carry, by the alphabet it is written in.
fn bits_of(word: &[u8], random_case: bool) -> f32 {
    let digits = word.iter().any(u8::is_ascii_digit);
    let each = if !word.is_ascii() {
        7.0
    } else if !random_case && mixed_case(word) {
        6.0
    } else if word.iter().all(u8::is_ascii_digit) {
        3.3
    } else if word.iter().all(u8::is_ascii_hexdigit) && (digits || word.len() > WORD) {
        4.0
    } else if digits || word.len() > WORD {
        5.0
    } else {
        // A letter of English text tells about one bit (Shannon 1951).
        1.0
    };
    each * word.len() as f32
}

fn mixed_case(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_uppercase) && text.iter().any(u8::is_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &[u8], registered: &[u8], free: &[u8], low: f32, high: f32) {
        let found = parts(name);
        assert_eq!((found.registered, found.free), (registered, free), "{}", name.escape_ascii());
        assert!((low..=high).contains(&found.carried), "{}: {}", name.escape_ascii(), found.carried);
    }

    #[test]
    fn names_are_taken_apart_where_they_were_registered() {
        check(b"example.com", b"example.com", b"", 0.0, 0.0);
        check(b"www.example.com", b"example.com", b"www", 0.3, 0.5);
        check(b"www.Example.CO.uk", b"Example.CO.uk", b"www", 0.3, 0.5);
        check(b"co.uk", b"co.uk", b"", 0.0, 0.0);
        check(b"a.co.com", b"co.com", b"a", 0.0, 0.5);
        check(b"x.xn--e1afmkfd.xn--p1ai", b"xn--e1afmkfd.xn--p1ai", b"x", 0.0, 0.5);
        check(b"wpad", b"", b"wpad", 0.5, 0.5);
        check(b"", b"", b"", 0.0, 0.0);
        check(b"dnscat.9fa201a0b1c2d3e4f5.0af1", b"", b"dnscat.9fa201a0b1c2d3e4f5.0af1", 11.0, 13.0);
        check(b"..", b"", b"..", 0.0, 0.0);
    }

    #[test]
    fn data_counts_and_what_has_a_known_form_hardly_does() {
        check(b"GQ5vK29ABA.www.d.tk", b"d.tk", b"GQ5vK29ABA.www", 7.0, 9.0);
        check(
            b"3fb4012e6837f9ee5d90ad0d189ccb8204.d.tk",
            b"d.tk",
            b"3fb4012e6837f9ee5d90ad0d189ccb8204",
            17.0,
            17.0,
        );
        check(b"4.3.112.250.in-addr.arpa", b"in-addr.arpa", b"4.3.112.250", 0.9, 1.5);
        check(b"4.3.112.250.zen.spamhaus.org", b"spamhaus.org", b"4.3.112.250.zen", 0.9, 2.5);
        let nibbles = b"1.0.0.0.a.b.c.d.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.0.0.0.0.ip6.arpa";
        check(nibbles, b"ip6.arpa", &nibbles[..63], 0.9, 1.5);
        check(
            b"s1-tenant-onmicrosoft-com._domainkey.t.onmicrosoft.com",
            b"onmicrosoft.com",
            b"s1-tenant-onmicrosoft-com._domainkey.t",
            0.1,
            0.5,
        );
        // Random case of a resolver is not data.
        check(b"wWw.ExAmPle.cOm", b"ExAmPle.cOm", b"wWw", 0.3, 0.5);
        check(b"\xe9\xf0\xc1\xe5.d.tk", b"d.tk", b"\xe9\xf0\xc1\xe5", 3.5, 3.5);
    }
}
