//! Joins the stages after capture: flow, features, score, alert. One thread owns it; it never blocks, does no
//! I/O and reads no clock, so a replay of the same events gives the same alerts.
