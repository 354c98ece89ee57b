//! Metrics of the incidents and of the language model.

use super::exposition::Families;
use crate::incidents::IncidentsStatus;
use crate::incidents::language::LanguageStatus;

pub(super) fn metrics(
    families: &mut Families,
    incidents: Option<&IncidentsStatus>,
    language: Option<&LanguageStatus>,
) {
    if let Some(incidents) = incidents {
        families.gauge("incidents_own", "Incidents that people made or imported.", incidents.own as f64);
        families.gauge("incidents_starter", "Incidents that came with the sensor.", incidents.starter as f64);
        families.counters(
            "incidents_recommendations_total",
            "Alerts compared with incidents, by whether one was alike enough.",
            "result",
            [("found", incidents.recommended), ("none", incidents.not_recommended)],
        );
        families.counters(
            "incidents_decisions_total",
            "Anomalies that other systems posted, by whether an incident matched.",
            "result",
            [("matched", incidents.decisions_matched), ("unmatched", incidents.decisions_unmatched)],
        );
    }
    if let Some(language) = language {
        families.counters(
            "incidents_language_model_total",
            "Alerts offered to the language model, by what became of them.",
            "result",
            [
                ("rewritten", language.rewritten),
                ("failed", language.failed),
                ("queue_full", language.skipped_queue_full),
                ("rate_limited", language.skipped_rate),
                ("paused", language.skipped_paused),
            ],
        );
        families.gauge(
            "incidents_language_model_up",
            "Whether the latest question was answered.",
            f64::from(u8::from(language.failing.is_empty())),
        );
    }
}
