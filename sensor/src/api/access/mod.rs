//! Who may ask, and for what.
//!
//! In order: does the request name this machine (`host`), does a foreign web page send it (`origin`), who sends it
//! (`token`, `session`), and may they (`guard`). Every route declares its scope in its OpenAPI description; a route that
//! declares none needs the highest one. Never here: what a route does.

mod coarse;
mod guard;
mod host;
mod session;
pub(super) mod tls;
pub mod token;

pub(super) use coarse::{coarse_bound, text as coarse_text};
pub(super) use guard::{Guard, Need, guard};
pub(super) use host::check_host;
pub(super) use session::Sessions;
pub use token::Scope;

/// Who sends a request; in its extensions once the guard let it pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's name; `local` where no tokens are configured.
    pub name: String,
    /// What they may do.
    pub scope: Scope,
}

impl Caller {
    /// Whether they are told scores exactly, see `coarse`.
    pub(super) fn sees_exactly(&self) -> bool {
        self.scope >= Scope::Write
    }
}
