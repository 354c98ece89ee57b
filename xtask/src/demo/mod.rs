//! Being written.
use anyhow::Result;
pub fn command(_args: &[&str]) -> Result<()> {
    anyhow::bail!("not yet")
}
