use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use super::record::{
    FRAME, HEAD, Header, KINDS, LARGEST_BLOCK, encode_header, encode_window, feature, quantise,
};
use super::*;
use crate::alert::ThreatType;
use crate::status::ModelState;

fn layout() -> Layout {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Layout {
        features: [names(&["packets_out", "bytes_out", "age"]), names(&["peers"]), names(&[])],
        members: [names(&["volume", "rarity"]), names(&[]), names(&[])],
    }
}

/// A flow from port `n`.
pub(super) fn flow_row(n: u16) -> Row {
    Row {
        key: Key::Flow { src: [1; 16], src_port: n, dst: [2; 16], dst_port: 443, proto: 6 },
        packets: [3, 4],
        bytes: [300, 70_000],
        score: 1.5,
        members: vec![0.25, 1.5],
        features: vec![0, 77, u16::MAX],
        weight: 1.0,
        unusual: false,
        suspect: false,
        alert: None,
    }
}

fn window(second: u64, rows: Vec<Row>) -> Window {
    Window {
        start: second * 1_000_000_000,
        end: (second + 1) * 1_000_000_000,
        state: ModelState::Active,
        generation: 9,
        threshold: 4.0,
        scored: [rows.len() as u64, 0, 0],
        rows,
    }
}

fn segment(windows: &[Window]) -> Vec<u8> {
    let mut bytes = encode_header(&Header { start: windows[0].start, layout: layout() }).unwrap();
    windows.iter().for_each(|window| bytes.extend(encode_window(window).unwrap()));
    bytes
}

fn read(bytes: &[u8]) -> Vec<Window> {
    let Ok(segment) = Segment::open(bytes) else { return Vec::new() };
    segment.filter_map(|found| if let Found::Window(window) = found { Some(window) } else { None }).collect()
}

const LIMITS: Limits = Limits { max_bytes: 64 << 10, segment_bytes: 8 << 10, max_age: u64::MAX };

fn all(folder: &Path) -> Vec<u64> {
    Reader::open(folder, Span::ALL).unwrap().map(|entry| entry.window.start / 1_000_000_000).collect()
}

/// The file is read by other programs: no byte may move without a new format.
#[test]
fn the_format_is_what_the_document_says() {
    let mut row = flow_row(258);
    row.alert = Some(ThreatType::PortScan);
    let bytes = segment(&[Window { generation: 300, ..window(1, vec![row]) }]);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("golden.txt").split_whitespace().collect::<String>());
}

fn any_key() -> impl Strategy<Value = Key> {
    prop_oneof![
        any::<([u8; 16], u16, [u8; 16], u16, u8)>().prop_map(|(src, src_port, dst, dst_port, proto)| {
            Key::Flow { src, src_port, dst, dst_port, proto }
        }),
        any::<[u8; 16]>().prop_map(|address| Key::Host { address }),
        any::<([u8; 6], Option<[u8; 16]>)>().prop_map(|(source, address)| Key::Link { source, address }),
    ]
}

prop_compose! {
    fn any_row()(
        key in any_key(), packets in any::<[u64; 2]>(), bytes in any::<[u64; 2]>(), score in -1e9f32..1e9,
        weight in 0f32..1e6, flags in any::<[bool; 3]>(), features in vec(any::<u16>(), 3),
        members in vec(-10f32..10.0, 0..3),
    ) -> Row {
        let names = layout();
        let kind = key.kind();
        Row {
            key, packets, bytes, score, weight,
            features: features.into_iter().take(names.features[kind].len()).collect(),
            members: members.into_iter().take(names.members[kind].len()).collect(),
            unusual: flags[0], suspect: flags[1], alert: flags[2].then_some(ThreatType::Bot),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        windows in vec((any::<[u64; 3]>(), vec(any_row(), 0..20)), 1..8), junk in vec(any::<u8>(), 0..40),
    ) {
        let windows: Vec<Window> = windows.into_iter().map(|([start, end, generation], rows)| {
            Window { start, end, generation, ..window(0, rows) }
        }).collect();
        let mut bytes = segment(&windows);
        prop_assert_eq!(&read(&bytes), &windows);
        // Whatever comes after is no window.
        bytes.extend(junk);
        prop_assert_eq!(&read(&bytes), &windows);
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _any = read(&bytes);
        let mut whole = segment(&[window(1, Vec::new())]);
        whole.extend(bytes);
        prop_assert_eq!(read(&whole).len(), 1);
    }

    #[test]
    fn features_survive_within_a_step(value in 0f32..=1.0) {
        prop_assert!((feature(quantise(value)) - value).abs() <= 0.5 / 65_535.0 + 1e-7);
    }
}

#[test]
fn impossible_features_are_zero_or_one() {
    for (value, expected) in
        [(f32::NAN, 0), (-1.0, 0), (f32::NEG_INFINITY, 0), (2.0, u16::MAX), (1.0, u16::MAX)]
    {
        assert_eq!(quantise(value), expected, "{value}");
    }
}

#[test]
fn every_flipped_bit_costs_one_window_and_invents_none() {
    let windows: Vec<Window> = (1..6).map(|n| window(n, (0..4).map(flow_row).collect())).collect();
    let good = segment(&windows);
    let head = good.len() - 5 * encode_window(&windows[0]).unwrap().len();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            let found = read(&bytes);
            assert!(found.iter().all(|window| windows.contains(window)), "byte {at} bit {bit}");
            let expected = if at < head { 0 } else { 4 };
            assert_eq!(found.len(), expected, "byte {at} bit {bit}");
        }
    }
}

#[test]
fn every_torn_tail_is_cut_and_the_journal_goes_on() {
    let windows: Vec<Window> = (1..4).map(|n| window(n, vec![flow_row(n as u16)])).collect();
    let good = segment(&windows);
    let block = encode_window(&windows[0]).unwrap().len();
    let head = good.len() - 3 * block;
    for length in 0..=good.len() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("00000007.vsj"), &good[..length]).unwrap();
        let mut writer = Writer::open(folder.path(), LIMITS, &layout()).unwrap();
        let whole = length.saturating_sub(head) / block;
        let torn = if length < head { 0 } else { length - head - whole * block };
        assert_eq!(writer.done.torn_bytes, torn as u64, "{length}");
        assert_eq!(writer.notices.len(), usize::from(torn > 0 || length < head), "{:?}", writer.notices);
        writer.append(&window(9, Vec::new())).unwrap();
        let mut expected: Vec<u64> = (1..=whole as u64).collect();
        expected.push(9);
        assert_eq!(all(folder.path()), expected, "{length}");
        // In the same file, unless its head was torn.
        assert_eq!(writer.segments(), if length < head { 2 } else { 1 });
    }
}

#[test]
fn damage_in_the_middle_is_announced_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let windows: Vec<Window> = (1..4).map(|n| window(n, vec![flow_row(n as u16)])).collect();
    let mut bytes = segment(&windows);
    let block = encode_window(&windows[0]).unwrap().len();
    let middle = bytes.len() - block - block / 2;
    bytes[middle] ^= 0x10;
    fs::write(folder.path().join("00000001.vsj"), &bytes).unwrap();
    let writer = Writer::open(folder.path(), LIMITS, &layout()).unwrap();
    assert_eq!(writer.done.torn_bytes, 0);
    assert!(writer.notices[0].contains("between its windows"), "{:?}", writer.notices);
    let mut reader = Reader::open(folder.path(), Span::ALL).unwrap();
    assert_eq!(reader.by_ref().count(), 2);
    assert_eq!((reader.damaged, reader.notes.len()), (block as u64, 1));
}

#[test]
fn the_folder_stays_within_its_size_and_the_oldest_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder.path(), LIMITS, &layout()).unwrap();
    fs::write(folder.path().join("notes.txt"), "not ours").unwrap();
    for n in 1..2000 {
        writer.append(&window(n, (0..(n % 7) as u16).map(flow_row).collect())).unwrap();
        if n % 50 == 0 {
            let sizes = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len());
            assert!(sizes.sum::<u64>() <= LIMITS.max_bytes + 8);
        }
        if n % 700 == 0 {
            writer = Writer::open(folder.path(), LIMITS, &layout()).unwrap();
        }
    }
    let kept = all(folder.path());
    assert!(kept.len() > 200 && kept[0] > 1 && kept.windows(2).all(|two| two[0] + 1 == two[1]), "{kept:?}");
    assert_eq!(kept.last(), Some(&1999));
    assert!(writer.done.removed_size > 0 && folder.path().join("notes.txt").exists());
}

#[test]
fn what_is_too_old_goes() {
    let folder = tempfile::tempdir().unwrap();
    let hour = 3600 * 1_000_000_000;
    let limits = Limits { segment_bytes: 400, max_age: hour, ..LIMITS };
    let mut writer = Writer::open(folder.path(), limits, &layout()).unwrap();
    for n in 0..20 {
        writer.append(&window(n * 600, vec![flow_row(1)])).unwrap();
    }
    let kept = all(folder.path());
    assert!(kept.iter().all(|second| *second + 2 * 3600 >= 19 * 600) && kept.len() >= 6, "{kept:?}");
    assert!(writer.done.removed_age > 0 && writer.done.removed_size == 0);
}

#[test]
fn other_features_begin_another_segment() {
    let folder = tempfile::tempdir().unwrap();
    Writer::open(folder.path(), LIMITS, &layout()).unwrap().append(&window(1, vec![flow_row(1)])).unwrap();
    let other = Layout { features: [vec!["other".to_owned()], Vec::new(), Vec::new()], ..layout() };
    let mut writer = Writer::open(folder.path(), LIMITS, &other).unwrap();
    let row = Row { features: vec![1], ..flow_row(2) };
    writer.append(&window(2, vec![row])).unwrap();
    let layouts: Vec<Layout> =
        Reader::open(folder.path(), Span::ALL).unwrap().map(|entry| (*entry.layout).clone()).collect();
    assert_eq!(layouts, [layout(), other]);
}

#[test]
fn a_file_of_beginnings_is_given_up_soon() {
    let mut bytes = segment(&[window(1, Vec::new())]);
    let length = (LARGEST_BLOCK / 8) as u32;
    for _ in 0..400_000 {
        bytes.extend(b"vsjb");
        bytes.extend(length.to_le_bytes());
    }
    // Without patience: a million bytes summed up four hundred thousand times.
    assert_eq!(read(&bytes).len(), 1);
    assert!(FRAME + HEAD < bytes.len());
}

#[test]
fn the_thread_writes_counts_and_goes_on_after_errors() {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig { path: "j".into(), ..JournalConfig::default() };
    // A file stands where the folder should be.
    fs::write(folder.path().join("j"), "").unwrap();
    let journal = Journal::start(&config, folder.path(), layout()).unwrap();
    journal.record([window(1, vec![flow_row(1)])]);
    while journal.status().rows_pending > 0 {
        thread::sleep(Duration::from_millis(5));
    }
    let status = journal.status();
    assert_eq!((status.rows_dropped_write_failed, status.residue()), (1, 0));
    assert!(status.failing.contains("cannot be opened"), "{}", status.failing);
    fs::remove_file(folder.path().join("j")).unwrap();
    for n in 2..200 {
        journal.record([window(n, vec![flow_row(1), flow_row(2)])]);
    }
    let status = journal.stop(Duration::from_secs(20));
    assert_eq!((status.residue(), status.rows_pending, status.rows_dropped_shutdown), (0, 0, 0));
    assert_eq!(status.rows_written + status.rows_dropped_queue_full, 2 * 198);
    assert!(status.failing.is_empty() && status.windows_written > 0);
    assert_eq!(all(&folder.path().join("j")).len() as u64, status.windows_written);
}

#[test]
fn a_disk_that_stands_still_costs_windows_only() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::start(&JournalConfig::default(), folder.path(), layout()).unwrap();
    // More at once than the queue takes; nobody waits.
    let many = (0..QUEUE as u64 * 40).map(|n| window(n, (0..200).map(flow_row).collect()));
    journal.record(many);
    let status = journal.stop(Duration::ZERO);
    assert_eq!((status.residue(), status.rows_pending), (0, 0));
    assert!(status.rows_dropped_queue_full + status.rows_dropped_shutdown > 0, "{status:?}");
}

fn printed(options: &JournalOptions) -> (String, String) {
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    print(options, &mut out, &mut notes).unwrap();
    (String::from_utf8(out).unwrap(), String::from_utf8(notes).unwrap())
}

#[test]
fn printed_for_people_and_programs() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder.path(), LIMITS, &layout()).unwrap();
    let address =
        |last: u8| -> [u8; 16] { std::net::Ipv4Addr::new(10, 0, 0, last).to_ipv6_mapped().octets() };
    for n in 0..100u64 {
        let key = Key::Flow {
            src: address(1),
            src_port: 4000,
            dst: address((n % 3) as u8 + 2),
            dst_port: 53,
            proto: 17,
        };
        let alert = (n == 98).then_some(ThreatType::Exfiltration);
        let flow = Row { key, weight: 12.0, unusual: n >= 98, alert, ..flow_row(1) };
        let host =
            Row { key: Key::Host { address: address(9) }, features: vec![5], members: vec![], ..flow_row(1) };
        writer.append(&window(n, vec![flow, host])).unwrap();
    }
    let options = JournalOptions { folder: folder.path().to_owned(), ..JournalOptions::default() };
    let (text, notes) = printed(&options);
    assert_eq!(text.lines().count(), 200);
    assert!(notes.starts_with("200 rows, 2 of them unusual, standing for 1300, in 100 windows"), "{notes}");

    let host = Some("10.0.0.4".parse().unwrap());
    let (text, _) = printed(&JournalOptions { host, ..options.clone() });
    assert!(
        text.starts_with(
            "1970-01-01T00:00:02.000000Z flow 10.0.0.1 4000 > 10.0.0.4 53 UDP packets 3/4 bytes 300/70000 score 1.50 \
             of 4.00 stands for 12\n"
        ),
        "{text}"
    );
    assert!(text.ends_with("       396        1  10.0.0.1 > 10.0.0.4 53 UDP\n"), "{text}");

    let since = Some("10s".to_owned());
    let (text, _) = printed(&JournalOptions { since, unusual: true, json: true, ..options.clone() });
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["alert"], "Exfiltration");
    assert_eq!(rows[0]["features"]["age"], 1.0);
    assert_eq!(rows[1]["dst_ip"], "10.0.0.2");

    let until = Some("1970-01-01T00:00:30Z".to_owned());
    let (text, _) = printed(&JournalOptions { until, ..options.clone() });
    assert_eq!(text.lines().count(), 60);
    let wrong = JournalOptions { since: Some("yesterday\u{1b}".to_owned()), ..options };
    assert!(print(&wrong, &mut Vec::new(), &mut Vec::new()).unwrap_err().to_string().contains("is no time"));
    assert_eq!(KINDS, 3);
}
