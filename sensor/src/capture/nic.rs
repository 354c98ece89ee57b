//! Facts about network interfaces.
