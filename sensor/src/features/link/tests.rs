//! Link rows from frames made by hand.

use super::*;

#[test]
fn placeholder() {}
