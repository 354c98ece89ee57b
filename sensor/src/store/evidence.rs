//! Sampled packets around an alert: bounded by bytes, the oldest go first.
//!
//! A record is, for each packet and in little endian, its time (u64, nanoseconds), its length on the wire (u32), how much
//! of it is kept (u32), and that.

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::{alerts, pcapng, summary};
use crate::capture::{Link, Sample};

/// Key in `meta` of the bytes of all records, and of the most there may be.
const BYTES: &str = "evidence_bytes";
const LIMIT: &str = "evidence_limit";
/// Packets of one alert.
const MOST_PACKETS: i64 = 1000;
/// Of one packet.
const LONGEST: usize = 65_535;
const HEAD: usize = 16;

/// A packet, or its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvidencePacket {
    /// Nanoseconds since the Unix epoch.
    pub time: u64,
    /// Bytes it had on the wire.
    pub length: u32,
    /// What was kept of it, from the Ethernet header on.
    pub data: Vec<u8>,
}

/// Samples as evidence keeps them. What does not begin with Ethernet gets a header of zeros; what is not understood is left
/// out.
pub fn of_samples(samples: &[Sample]) -> Vec<EvidencePacket> {
    let packet = |sample: &Sample| {
        let (time, length) = (sample.time, sample.wire_len);
        let data = match sample.link {
            Link::Ethernet => sample.frame.to_vec(),
            Link::Network { ethertype, at } => {
                let mut data = vec![0; 12];
                data.extend_from_slice(&ethertype.to_be_bytes());
                data.extend_from_slice(sample.frame.get(usize::from(at)..)?);
                data
            }
            Link::Unknown => return None,
        };
        Some(EvidencePacket { time, length, data })
    };
    samples.iter().filter_map(packet).collect()
}

/// One line about a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PacketSummary {
    /// RFC 3339.
    pub time: String,
    /// Bytes on the wire.
    pub length: u32,
    /// Bytes kept.
    pub captured: u32,
    /// Address and port, or MAC address.
    pub source: String,
    /// Address and port, or MAC address.
    pub destination: String,
    /// `TCP`, `UDP`, ..., `ARP`.
    pub protocol: String,
    /// What else its headers say.
    pub summary: String,
}

/// Adds packets to an alert; further ones than fit are left out.
pub fn add(tx: &Connection, threat_id: &str, packets: &[EvidencePacket]) -> rusqlite::Result<()> {
    let there: i64 = tx
        .prepare_cached("SELECT coalesce(sum(packets), 0) FROM evidence WHERE threat_id = ?")?
        .query_row([threat_id], |row| row.get(0))?;
    let room = MOST_PACKETS.saturating_sub(there).max(0) as usize;
    let packets = &packets[..packets.len().min(room)];
    if packets.is_empty() {
        return Ok(());
    }
    let record = encode(packets);
    tx.prepare_cached("INSERT INTO evidence (threat_id, packets, bytes, data) VALUES (?, ?, ?, ?)")?
        .execute(params![threat_id, packets.len() as i64, record.len() as i64, record])?;
    let bytes = number(tx, BYTES)?.unwrap_or(0) + record.len() as i64;
    set(tx, BYTES, bytes)?;
    match number(tx, LIMIT)? {
        Some(limit) if bytes > limit => shrink(tx, bytes, limit),
        _ => Ok(()),
    }
}

/// Sets how many bytes there may be, and keeps to it.
pub fn limit(tx: &Connection, limit: u64) -> rusqlite::Result<()> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    set(tx, LIMIT, limit)?;
    shrink(tx, number(tx, BYTES)?.unwrap_or(0), limit)
}

/// Bytes of all records.
pub fn bytes(connection: &Connection) -> rusqlite::Result<i64> {
    Ok(number(connection, BYTES)?.unwrap_or(0))
}

/// Removes what belongs to an alert.
pub(super) fn remove(tx: &Connection, threat_id: &str) -> rusqlite::Result<()> {
    let mut delete = tx.prepare_cached("DELETE FROM evidence WHERE threat_id = ? RETURNING bytes")?;
    let gone: Vec<i64> = delete.query_map([threat_id], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    if gone.is_empty() {
        return Ok(());
    }
    set(tx, BYTES, number(tx, BYTES)?.unwrap_or(0) - gone.iter().sum::<i64>())
}

/// The packets of an alert in the order of their time.
pub fn load(connection: &Connection, threat_id: &str) -> rusqlite::Result<Vec<EvidencePacket>> {
    let mut select =
        connection.prepare_cached("SELECT data FROM evidence WHERE threat_id = ? ORDER BY id")?;
    let mut rows = select.query([threat_id])?;
    let mut packets = Vec::new();
    while let Some(row) = rows.next()? {
        decode(row.get_ref(0)?.as_blob()?, &mut packets);
    }
    packets.sort_by_key(|packet| packet.time);
    Ok(packets)
}

/// The packets of an alert as a pcapng file; `None` if there are none. The first packet's comment says which alert it is,
/// and its score if that is wanted.
pub fn pcapng(connection: &Connection, threat_id: &str, score: bool) -> rusqlite::Result<Option<Vec<u8>>> {
    let packets = load(connection, threat_id)?;
    if packets.is_empty() {
        return Ok(None);
    }
    let comment = match alerts::get(connection, threat_id)? {
        Some(stored) => {
            let (alert, details) = (&stored.alert, &stored.alert.details);
            let score = match score {
                true => format!(", score {:.3} (threshold {:.3})", details.score, details.threshold),
                false => String::new(),
            };
            let kind = alerts::type_name(alert.threat_type);
            format!("{}: {kind}{score}. {}", alert.threat_id, details.narrative)
        }
        None => threat_id.to_owned(),
    };
    Ok(Some(pcapng::file(&packets, &comment)))
}

/// A line for each packet of an alert, in the order of their time.
pub fn packets(connection: &Connection, threat_id: &str) -> rusqlite::Result<Vec<PacketSummary>> {
    Ok(load(connection, threat_id)?.iter().map(summary::of).collect())
}

fn shrink(tx: &Connection, mut bytes: i64, limit: i64) -> rusqlite::Result<()> {
    while bytes > limit {
        let mut delete = tx.prepare_cached(
            "DELETE FROM evidence WHERE id IN (SELECT id FROM evidence ORDER BY id LIMIT 16) RETURNING bytes",
        )?;
        let gone: Vec<i64> = delete.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        if gone.is_empty() {
            bytes = 0;
        }
        bytes -= gone.iter().sum::<i64>();
    }
    set(tx, BYTES, bytes)
}

fn encode(packets: &[EvidencePacket]) -> Vec<u8> {
    let mut record = Vec::new();
    for packet in packets {
        let data = &packet.data[..packet.data.len().min(LONGEST)];
        record.extend_from_slice(&packet.time.to_le_bytes());
        record.extend_from_slice(&packet.length.to_le_bytes());
        record.extend_from_slice(&(data.len() as u32).to_le_bytes());
        record.extend_from_slice(data);
    }
    record
}

/// What is torn at the end is left out.
fn decode(mut record: &[u8], packets: &mut Vec<EvidencePacket>) {
    while let Some((head, rest)) = record.split_first_chunk::<HEAD>() {
        let [time @ .., _, _, _, _, _, _, _, _] = *head;
        let [_, _, _, _, _, _, _, _, l0, l1, l2, l3, c0, c1, c2, c3] = *head;
        let captured = u32::from_le_bytes([c0, c1, c2, c3]) as usize;
        let Some((data, rest)) = rest.split_at_checked(captured) else { return };
        let (time, length) = (u64::from_le_bytes(time), u32::from_le_bytes([l0, l1, l2, l3]));
        packets.push(EvidencePacket { time, length, data: data.to_vec() });
        record = rest;
    }
}

fn number(connection: &Connection, key: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?")?
        .query_row([key], |row| row.get(0))
        .optional()
}

fn set(tx: &Connection, key: &str, value: i64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
    )?
    .execute(params![key, value])?;
    Ok(())
}
