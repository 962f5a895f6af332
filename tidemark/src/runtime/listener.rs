//! Connections of the HTTP listener: how many there may be, and how long each may take over what.
//!
//! A client that sends a byte now and then, asks and does not read, or connects and says nothing holds one of
//! [`Limits::connections`] places for a time that is bounded, whatever it does. When all places are taken, a further
//! connection is answered 503 and closed at once, and counted: waiting in a queue it would tell a health check nothing.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use model::{Clock, Monotonic};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Most a connection buffers of one head.
const HEAD_BYTES: usize = 64 << 10;
/// A full listener says so in the log at most this often.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);
/// What a connection gets for which there is no place.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\n\
    content-type: text/plain\r\ncontent-length: 21\r\n\r\ntoo many connections\n";

/// How much the listener bears.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at the same time.
    pub(super) connections: usize,
    /// From the start of a connection, or the end of an answer, to the end of the next request's head.
    pub(super) head: Duration,
    /// From the end of the head to the end of the body.
    pub(super) body: Duration,
    /// From the end of the head to the answer.
    pub(super) answer: Duration,
    /// A connection's whole life; the request it is at may end within [`Limits::answer`].
    pub(super) life: Duration,
    /// How long open requests may take to end at shutdown.
    pub(super) closing: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(15),
            body: Duration::from_secs(15),
            answer: Duration::from_secs(60),
            life: Duration::from_secs(600),
            closing: Duration::from_secs(2),
        }
    }
}

/// What is counted of connections. Cheap to clone; every clone counts into the same.
#[derive(Clone, Debug, Default)]
pub(super) struct ListenerMetrics {
    open: Gauge,
    refused: Counter,
}

impl ListenerMetrics {
    /// Makes the metrics and registers them.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let open = metrics.open.clone();
        registry.register("tidemark_http_connections", "Open connections of the HTTP listener", open);
        let help = "Connections closed at once because as many as may be were open";
        registry.register("tidemark_http_connections_refused", help, metrics.refused.clone());
        metrics
    }
}

/// The listener at work.
pub(super) struct Server {
    /// Time.
    pub(super) clock: Arc<dyn Clock>,
    /// What it bears.
    pub(super) limits: Limits,
    /// What it counts.
    pub(super) metrics: ListenerMetrics,
}

impl Server {
    /// Serves until told to close, then lets open requests end within [`Limits::closing`].
    pub(super) async fn serve(self, mut listener: TcpListener, app: Router, closing: CancellationToken) {
        let app = app.layer(from_fn_with_state((Arc::clone(&self.clock), self.limits), in_time));
        let (places, tasks) = (Arc::new(Semaphore::new(self.limits.connections)), TaskTracker::new());
        let (server, mut warned) = (Arc::new(self), None);
        loop {
            let stream = tokio::select! {
                // axum's own: an accept that fails for want of file descriptors is tried again after a pause.
                (stream, _) = Listener::accept(&mut listener) => stream,
                () = closing.cancelled() => break,
            };
            match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let (server, app, closing) = (Arc::clone(&server), app.clone(), closing.clone());
                    tasks.spawn(async move { server.attend(stream, app, closing, place).await });
                }
                Err(_full) => server.turn_away(&stream, &mut warned),
            }
        }
        drop(listener);
        tasks.close();
        tasks.wait().await;
    }

    /// One connection, to its end.
    async fn attend(
        &self,
        stream: TcpStream,
        app: Router,
        closing: CancellationToken,
        _place: OwnedSemaphorePermit,
    ) {
        let _open = Open::counted_in(&self.metrics.open);
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(self.limits.head).max_buf_size(HEAD_BYTES);
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
        let mut connection = pin!(connection);
        let last = tokio::select! {
            // Whatever a client does wrong ends its connection and is no concern of ours.
            _ = connection.as_mut() => return,
            () = self.clock.sleep(self.limits.life) => self.limits.answer,
            () = closing.cancelled() => self.limits.closing,
        };
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = connection => {}
            () = self.clock.sleep(last) => {}
            () = async {
                closing.cancelled().await;
                self.clock.sleep(self.limits.closing).await;
            } => {}
        }
    }

    /// Says that there is no place, without waiting for anything.
    fn turn_away(&self, stream: &TcpStream, warned: &mut Option<Monotonic>) {
        self.metrics.refused.inc();
        let _ = stream.try_write(FULL);
        let now = self.clock.monotonic_now();
        if warned.is_none_or(|before| now.saturating_sub(before) >= BETWEEN_WARNINGS) {
            *warned = Some(now);
            tracing::warn!(
                open = self.limits.connections,
                refused = self.metrics.refused.get(),
                "as many connections as may be are open; further ones are turned away"
            );
        }
    }
}

/// A connection, counted as long as this value lives.
struct Open(Gauge);

impl Open {
    fn counted_in(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Lets a request be read and answered within its deadlines.
async fn in_time(
    State((clock, limits)): State<(Arc<dyn Clock>, Limits)>,
    request: Request,
    next: Next,
) -> Response {
    let late = clock.sleep(limits.body);
    tokio::select! {
        answer = next.run(request.map(|body| until(body, late))) => answer,
        () = clock.sleep(limits.answer) => {
            let message = format!("not answered within {:?}\n", limits.answer);
            (StatusCode::SERVICE_UNAVAILABLE, message).into_response()
        }
    }
}

/// A body that fails when it is not at its end in time.
fn until(body: Body, mut late: model::Sleep) -> Body {
    let mut chunks = body.into_data_stream();
    Body::from_stream(poll_fn(move |context| match chunks.poll_next_unpin(context) {
        Poll::Pending if late.as_mut().poll(context).is_ready() => {
            Poll::Ready(Some(Err(axum::Error::new("the body did not come in time"))))
        }
        chunk => chunk,
    }))
}

#[cfg(test)]
mod tests;
