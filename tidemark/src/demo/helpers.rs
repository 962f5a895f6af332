//! What stands around Tidemark in the demo: the risk API, the mail catcher and the webhook catcher, each on a free port
//! of loopback, each a task that ends when this value is dropped.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Clock;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::business::Business;
use super::catcher::webhook::WebhookCatcher;
use super::catcher::{Inbox, smtp};
use super::risk_api::RiskApi;

/// Bytes of the webhook's key.
const KEY_BYTES: usize = 32;

/// The helpers, running.
#[derive(Debug)]
pub(crate) struct Helpers {
    /// Address of the risk API.
    pub(crate) risk_api: SocketAddr,
    /// Address of the mail catcher.
    pub(crate) smtp: SocketAddr,
    /// Address of the webhook catcher.
    pub(crate) webhook: SocketAddr,
    /// Its signing key, `whsec_..`; made anew at each start.
    pub(crate) webhook_secret: String,
    /// What the catchers received.
    pub(crate) inbox: Inbox,
    tasks: JoinSet<()>,
}

impl Helpers {
    /// Starts them.
    ///
    /// # Errors
    /// When loopback has no port left.
    pub(crate) async fn start(business: Arc<Business>, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let inbox = Inbox::new(Arc::clone(&clock));
        let key: [u8; KEY_BYTES] = rand::random();
        let mut tasks = JoinSet::new();
        let risk_api = serve(&mut tasks, RiskApi::new(business, Arc::clone(&clock)).router()).await?;
        let catcher = WebhookCatcher::new(inbox.clone(), key, Arc::clone(&clock));
        let webhook = serve(&mut tasks, catcher.router()).await?;
        let listener = loopback().await?;
        let smtp = listener.local_addr()?;
        tasks.spawn(smtp::serve(listener, inbox.clone(), clock));
        let webhook_secret = format!("whsec_{}", STANDARD.encode(key));
        Ok(Self { risk_api, smtp, webhook, webhook_secret, inbox, tasks })
    }

    /// Runs something beside them, ended with them.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }
}

async fn loopback() -> io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", 0)).await
}

async fn serve(tasks: &mut JoinSet<()>, router: Router) -> io::Result<SocketAddr> {
    let listener = loopback().await?;
    let address = listener.local_addr()?;
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, %address, "a helper of the demo ended");
        }
    });
    Ok(address)
}
