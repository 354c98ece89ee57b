//! What to do about an alert, by what was done before.

use super::index::{Among, Entry, Index, Likeness};
use crate::alert::{Alert, Recommendation};

/// Looked at among the nearest.
const NEAREST: usize = 64;
/// Incidents that are less alike than the nearest by no more than this compete with it by how often their action worked.
const AS_ALIKE: f64 = 0.1;
/// That it was no threat is said only of what is very like what was none: a type and a port in common are not enough.
const HARMLESS: f64 = 0.8;

impl Index {
    /// What worked in the incident most like this alert. People's own win over those that came with the sensor as soon as
    /// they are alike enough; those that came with it are silent about types of which alerts were resolved here.
    pub fn recommend(&self, alert: &Alert, fingerprint: &[f32]) -> Option<Recommendation> {
        let likeness = Likeness::new(alert, fingerprint);
        let own = self.best(&likeness, Among::Own);
        let starter = || match self.has_resolved(alert.threat_type) {
            true => None,
            false => self.best(&likeness, Among::Starter),
        };
        let best = own.or_else(starter);
        self.counts.recommended(best.is_some());
        let (similarity, entry) = best?;
        Some(Recommendation {
            confidence: confidence(similarity, &entry),
            incident_id: entry.id,
            similarity,
            action: entry.action,
        })
    }

    fn best(&self, likeness: &Likeness, among: Among) -> Option<(f64, Entry)> {
        let least = |entry: &Entry| match entry.false_positive {
            true => self.config.min_similarity.max(HARMLESS),
            false => self.config.min_similarity,
        };
        let mut found = self.candidates(likeness, among, NEAREST);
        found.retain(|(similarity, entry)| *similarity >= least(entry));
        let nearest = found.first()?.0;
        let mut alike = found.into_iter().filter(|(similarity, _)| *similarity >= nearest - AS_ALIKE);
        let first = alike.next()?;
        // Of equals the first, which is the nearer.
        Some(alike.fold(first, |best, next| {
            if confidence(next.0, &next.1) > confidence(best.0, &best.1) { next } else { best }
        }))
    }
}

/// Similarity times the chance that the action works, by Laplace's rule of succession: an action that nobody tried has
/// one half, whatever came of it once moves it by a sixth.
fn confidence(similarity: f64, entry: &Entry) -> f64 {
    let (similarity, works) = (similarity, chance(entry.worked, entry.failed));
    (similarity * works * 1000.0).round() / 1000.0
}

/// The chance that an action works that worked and failed so often.
pub(super) fn chance(worked: u64, failed: u64) -> f64 {
    (worked as f64 + 1.0) / (worked as f64 + failed as f64 + 2.0)
}
