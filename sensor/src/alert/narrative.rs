//! An explanation in words: what was unusual, how much, and what was expected.

use super::Share;

/// Features told in words.
const TOLD: usize = 3;
/// A smaller part of a score is not worth a word.
const LEAST: f64 = 0.1;

/// `Most unusual: bytes out 3.2 MB/s where 41 kB/s was expected; ...`, or nothing where nothing stands out.
pub fn because(shares: &[Share]) -> String {
    let told: Vec<String> =
        shares.iter().filter(|share| share.share >= LEAST).take(TOLD).filter_map(phrase).collect();
    if told.is_empty() { String::new() } else { format!(" Most unusual: {}.", told.join("; ")) }
}

fn phrase(share: &Share) -> Option<String> {
    let novelty = match share.feature.as_str() {
        "new_source" => Some("this source is new, or hardly ever speaks"),
        "new_destination" => Some("it hardly ever talked to this destination"),
        "new_service" => Some("hardly anybody uses this service"),
        "new_port" => Some("it hardly ever used this port"),
        "new_mac" => Some("this MAC address is new"),
        "new_stream" => Some("it hardly ever sent this protocol there"),
        "beacon_to_new_service" => Some("it calls this service, which is new here, as regularly as a clock"),
        "rule" | "other" => return None,
        _ => None,
    };
    if let Some(novelty) = novelty {
        return Some(novelty.to_owned());
    }
    if let Some((what, span)) = share.feature.split_once("_off_") {
        let what = what.replace("pair", "this pair's").replace("service", "this service's").replace('_', " ");
        return Some(format!(
            "{what} is {:.0} deviations from what it was in the last {}",
            share.value,
            words(span)
        ));
    }
    let name = share.feature.replace('_', " ");
    if share.unit == "yes/no" {
        let (is, was) = if share.value >= 0.5 { ("", "not ") } else { ("not ", "") };
        return Some(format!("{is}{name} where it is usually {was}so"));
    }
    let (value, expected) = (amount(share.value, &share.unit), amount(share.expected, &share.unit));
    if expected.starts_with("0 ") {
        return Some(format!("{name} {value} where there is usually none"));
    }
    Some(format!("{name} {value} where {expected} was expected"))
}

/// `10m` in words.
fn words(span: &str) -> String {
    let number = span.trim_end_matches(char::is_alphabetic);
    let unit = match span.trim_start_matches(|c: char| c.is_ascii_digit()) {
        "s" => "seconds",
        "m" if number == "1" => return "minute".to_owned(),
        "m" => "minutes",
        "h" if number == "1" => return "hour".to_owned(),
        _ => "hours",
    };
    format!("{number} {unit}")
}

/// A value in its unit, with a prefix where it is large: `3.2 MB/s`.
pub fn amount(value: f64, unit: &str) -> String {
    let (value, prefix) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, "G"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = match value.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 0.095 => 2,
        _ => 3,
    };
    let number = format!("{value:.digits$}");
    let number =
        if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
    match (prefix, unit.strip_prefix("bytes")) {
        (prefix, Some(per)) if !prefix.is_empty() => format!("{number} {prefix}B{per}"),
        (prefix, _) if !prefix.is_empty() => format!("{number}{prefix} {unit}"),
        _ => format!("{number} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_shares() {
        let share = |feature: &str, unit: &str, value: f64, expected: f64, share: f64| Share {
            feature: feature.to_owned(),
            unit: unit.to_owned(),
            value,
            expected,
            accepted: None,
            share,
        };
        let shares = [
            share("bytes_out", "bytes/s", 3_210_000.0, 41_000.0, 0.5),
            share("new_destination", "nats", 12.0, 0.0, 0.2),
            share("pair_rate_off_10m", "deviations", 14.2, 0.0, 0.15),
            share("refused", "yes/no", 1.0, 0.0, 0.1),
        ];
        assert_eq!(
            because(&shares),
            " Most unusual: bytes out 3.21 MB/s where 41 kB/s was expected; it hardly ever talked to this destination; \
             this pair's rate is 14 deviations from what it was in the last 10 minutes."
        );
        assert_eq!(because(&[share("rule", "times", 1.0, 0.0, 1.0)]), "");
        assert_eq!(phrase(&shares[3]).unwrap(), "refused where it is usually not so");
        let missing = share("arp_targets_missing", "addresses/s", 3.01, 0.0, 0.2);
        assert_eq!(
            phrase(&missing).unwrap(),
            "arp targets missing 3.01 addresses/s where there is usually none"
        );
        for (value, unit, text) in [
            (0.0, "packets/s", "0 packets/s"),
            (0.004, "s", "0.004 s"),
            (1234.0, "names/min", "1234 names/min"),
            (12_345.0, "packets/s", "12.3k packets/s"),
            (2e9, "bytes", "2 GB"),
        ] {
            assert_eq!(amount(value, unit), text);
        }
    }
}
