//! The web console: pages for people, and the JSON those pages live on.
//!
//! [`router`] serves pages and assets compiled into the binary; nothing is loaded from elsewhere and no script stands
//! in a page (`security.rs`). Everything shown comes through one port, [`Backend`], which the binary implements;
//! the console computes no verdict and keeps nothing but the last overview, for less than a second, so that many open
//! pages cost one reading. When the backend does not answer in time the page says so and shows what it had; nothing
//! waits on a page, and nothing is lost when one is closed.

mod api;
mod assets;
mod backend;
pub mod dto;
mod format;
mod i18n;
mod pages;
mod reason;
mod security;
mod showcase;
mod texts;
mod thin;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use model::Clock;

pub use backend::{Backend, BackendError};
pub use i18n::Bilingual;
pub use model::Language;
pub use showcase::{Anomaly, AnomalyPhase, InboxMessage, Showcase, Story};

/// What the console is told once, at start.
#[derive(Clone)]
pub struct Options {
    /// Measures deadlines of backend calls and the age of the shared overview.
    pub clock: Arc<dyn Clock>,
    /// Language of a visitor who asks for none that we speak.
    pub language: Language,
    /// How long the backend may take before the page is told that it does not answer.
    pub deadline: Duration,
    /// The demo's story and inbox; `None` in production.
    pub showcase: Option<Arc<dyn Showcase>>,
}

impl Options {
    /// The usual: 5 s for the backend, no showcase.
    pub fn new(clock: Arc<dyn Clock>, language: Language) -> Self {
        Self { clock, language, deadline: Duration::from_secs(5), showcase: None }
    }

    /// The same with a demo to show.
    #[must_use]
    pub fn with_showcase(mut self, showcase: Arc<dyn Showcase>) -> Self {
        self.showcase = Some(showcase);
        self
    }
}

/// The console's routes: `/`, `/alerts`, `/alerts/{id}`, `/series/{fingerprint}`, `/assets/..` and, for its own
/// pages, `/api/v1/console/..`. It sets no fallback: the caller owns what is not found.
pub fn router(backend: Arc<dyn Backend>, options: Options) -> Router {
    let state = api::Shared::new(backend, options);
    Router::new()
        .merge(pages::routes())
        .merge(api::routes())
        .with_state(state)
        .merge(assets::routes())
        .layer(axum::middleware::map_response(security::headers))
}
