//! Maps that a sensor of another version left: longer entries, other offsets, two reasons more. They are made by hand here,
//! in the kernel, as `docs/restart.md` describes them.

use aya::maps::{Array, MapData, PerCpuArray, PerCpuValues};
use sensor_ebpf::flow::FlowKey;

use crate::ground::{Ground, get, metric, no_residue};
use crate::within;

const MMAPABLE: u32 = 1 << 10;
const SLOTS: u32 = 1024;
const ENTRY: usize = 24;
const RARE: usize = 9;
const READ: usize = 12;
const ABOUT: usize = 192;
const TOTALS: usize = 64;
const REASONS: u64 = 14;

/// What is in them.
#[derive(Default)]
struct Left {
    flows: u64,
    packets: u64,
    bytes: u64,
    waiting: u64,
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn another_layout_of_the_records_is_drained_too() {
    within("foreign::another_layout_of_the_records_is_drained_too", |made| {
        let left = leave(made);
        let mut running = made.start(&made.config("one", ""));
        running.wait_for("the maps of the sensor before are drained");
        let said = running.seen.join("\n");
        assert!(said.contains(&format!("packets={}", left.waiting)), "{} waited: {said}", left.waiting);
        std::thread::sleep(std::time::Duration::from_secs(2));
        let metrics = get("/metrics");
        let is = |name: &str, value: u64| assert_eq!(metric(&metrics, name), value as i64, "{name}");
        is("vesper_capture_samples_lost_total{reason=\"restart\"}", 10);
        is("vesper_capture_samples_lost_total{reason=\"no_socket\"}", 40);
        is("vesper_capture_samples_earlier_total", 50);
        is("vesper_capture_seen_packets_total", left.packets + 77 + 13);
        is("vesper_flow_flows_total", left.flows);
        let summary = running.stop();
        assert_eq!(summary["packets"], left.packets + 77 + 13, "{summary}");
        assert_eq!(summary["bytes"], left.bytes + 7_700 + 1_300, "{summary}");
        no_residue(&summary);
    });
}

/// Pins a generation of such maps.
fn leave(made: &Ground) -> Left {
    let folder = made.pins().join("rx0/7");
    std::fs::create_dir_all(&folder).unwrap();
    let mut left = Left::default();
    let mut entries: Array<MapData, [u64; ENTRY]> = Array::create(SLOTS, MMAPABLE).unwrap();
    let rare: Array<MapData, [u64; RARE]> = Array::create(SLOTS, MMAPABLE).unwrap();
    let mut read: Array<MapData, [u64; READ]> = Array::create(SLOTS, MMAPABLE).unwrap();
    for slot in 0..u64::from(SLOTS) {
        // Free, as it is left when a flow ends: all 0.
        if slot % 3 == 0 {
            continue;
        }
        let (packets, bytes) = ([slot, 2 * slot], [100 * slot, 200 * slot]);
        let mut address = [0; 16];
        address[10..].copy_from_slice(&[0xff, 0xff, 10, 0, (slot >> 8) as u8, slot as u8]);
        let key = FlowKey { addr_a: address, port_a: 7, ..FlowKey::from_words([0; 6]) };
        let mut entry = [0; ENTRY];
        entry[2..8].copy_from_slice(&key.words());
        entry[10..14].copy_from_slice(&[packets[0], packets[1], bytes[0], bytes[1]]);
        entry[16..18].copy_from_slice(&[1_000_000_000, 2_000_000_000]);
        entries.set(slot as u32, entry, 0).unwrap();
        let share = [0, 2, 1][slot as usize % 3];
        let mut reading = [0; READ];
        for (word, full) in reading.iter_mut().zip([packets, bytes].concat()) {
            *word = full / 2 * share;
        }
        read.set(slot as u32, reading, 0).unwrap();
        left.packets += packets[0] + packets[1];
        left.bytes += bytes[0] + bytes[1];
        left.waiting += packets[0] + packets[1] - reading[0] - reading[1];
        left.flows += u64::from(packets != [reading[0], reading[1]]);
    }
    // And flows that have left the table.
    (left.packets, left.bytes) = (left.packets + 5_000, left.bytes + 500_000);

    let mut about: Array<MapData, [u64; ABOUT]> = Array::create(1, MMAPABLE).unwrap();
    let mut words = [0; ABOUT];
    words[0] = u64::from_le_bytes(*b"VsprPin\x01");
    words[2..5].copy_from_slice(&[1, u64::from(SLOTS) / 32, 0]);
    words[11..13].copy_from_slice(&[5_000, 500_000]);
    words[16] = 50;
    let entry = [16, 80, 96, 112, 128, 136, 144];
    let totals = [8, 32, 48, 64, 80, 96, 104, 112, 120, 160];
    let layout = [&[0xdead_beef, 1, REASONS][..], &entry, &[8, 24, 40], &totals].concat();
    words[20..20 + layout.len()].copy_from_slice(&layout);
    about.set(0, words, 0).unwrap();

    let mut first = [0; TOTALS];
    let mut set = |at: usize, count: [u64; 2]| first[at / 8..at / 8 + 2].copy_from_slice(&count);
    set(8, [left.packets + 77 + 13, left.bytes + 7_700 + 1_300]);
    set(32, [left.packets + 77, left.bytes + 7_700]);
    set(64, [77, 7_700]);
    set(160 + 16, [10, 1_000]);
    // A reason of the other version's own.
    set(160 + 16 * (REASONS as usize - 1), [3, 300]);
    first[96 / 8] = 100;
    first[104 / 8] = 40;
    let mut sums: PerCpuArray<MapData, [u64; TOTALS]> = PerCpuArray::create(1, 0).unwrap();
    let mut all = vec![[0; TOTALS]; aya::util::nr_cpus().unwrap()];
    all[0] = first;
    sums.set(0, PerCpuValues::try_from(all).unwrap(), 0).unwrap();

    entries.pin(folder.join("ENTRIES")).unwrap();
    rare.pin(folder.join("RARE_FLAGS")).unwrap();
    read.pin(folder.join("READ")).unwrap();
    about.pin(folder.join("ABOUT")).unwrap();
    sums.pin(folder.join("TOTALS")).unwrap();
    left
}
