//! Incidents beside a live sensor: every new alert is compared with them before it is stored, and a language model, where
//! there is one, may word it anew afterwards.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::language::{LanguageModel, LanguageStatus, Rewritten};
use super::{IncidentsConfig, IncidentsStatus, Index};
use crate::alert::Raised;
use crate::store::ingest::{Hook, now};
use crate::store::{Store, StoreError, alerts};

/// The model may be quicker than the commit of the alert.
const TRIES: u32 = 5;
const BETWEEN: Duration = Duration::from_secs(1);

/// See the module.
pub struct Advice {
    index: Arc<Index>,
    language: Option<LanguageModel>,
    store: Store,
}

impl Advice {
    /// Reads the incidents there are; the starter set, where there are none. A language model that cannot start is left out,
    /// and the log says so.
    pub fn start(
        store: &Store,
        config: &IncidentsConfig,
        state_dir: &Path,
    ) -> Result<Arc<Advice>, StoreError> {
        let index = Arc::new(Index::open(store, config, now())?);
        let language = config.language_model.enabled.then(|| {
            let store = store.clone();
            let save = Box::new(move |id: &str, rewritten: Rewritten| save(&store, id, &rewritten));
            LanguageModel::start(&config.language_model, state_dir, save)
        });
        let language = match language.transpose() {
            Ok(language) => language,
            Err(error) => {
                tracing::error!(%error, "alerts keep their own words: there is no language model");
                None
            }
        };
        Ok(Arc::new(Advice { index, language, store: store.clone() }))
    }

    /// The incidents.
    pub fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// What the store asks of every new alert.
    pub fn hook(self: &Arc<Self>) -> Hook {
        let advice = Arc::clone(self);
        Box::new(move |raised| advice.look(raised))
    }

    fn look(&self, raised: &mut Raised) {
        // Others may have added incidents: the API, or a command beside this process.
        if let Err(error) = self.index.refresh(&self.store) {
            tracing::warn!(%error, "new incidents could not be read; alerts are compared with those there were");
        }
        raised.alert.recommendation = self.index.recommend(&raised.alert, &raised.fingerprint);
        if let Some(language) = &self.language {
            language.offer(&raised.alert);
        }
    }

    /// How it is doing.
    pub fn status(&self) -> (IncidentsStatus, Option<LanguageStatus>) {
        (self.index.status(), self.language.as_ref().map(LanguageModel::status))
    }
}

fn save(store: &Store, id: &str, rewritten: &Rewritten) -> Result<(), String> {
    for _ in 0..TRIES {
        let (id, rewritten) = (id.to_owned(), rewritten.clone());
        let saved = store.write(move |tx| alerts::reword(tx, &id, rewritten, now()));
        if saved.map_err(|error| error.to_string())?.is_some() {
            return Ok(());
        }
        std::thread::sleep(BETWEEN);
    }
    Err(format!("there is no alert {id}"))
}
