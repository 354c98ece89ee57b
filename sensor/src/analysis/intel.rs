use super::Analysis;
use crate::capture::Listed;
use crate::intel::Set;
use std::sync::Arc;

impl Analysis {
    /// s
    pub fn listed(&mut self, _listed: &[Listed]) {}
    /// s
    pub fn lists(&mut self, _set: Arc<Set>) {}
}
