//! `vesper check`.
