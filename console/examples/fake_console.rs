//! The console over a fake backend, to look at: `cargo run -p console --example fake_console -- [PORT] [well|empty|hanging|failing]`.

#[path = "../tests/fake/mod.rs"]
mod fake;

use std::sync::Arc;
use std::time::Duration;

use console::{Language, Options, router};
use fake::{FakeBackend, FakeShowcase, Mood};
use model::{ManualClock, Timestamp};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().map_or(Ok(0), |port| port.parse())?;
    let mood = match arguments.next().as_deref() {
        Some("empty") => Mood::Empty,
        Some("hanging") => Mood::Hanging,
        Some("failing") => Mood::Failing,
        _ => Mood::Well,
    };
    let clock = ManualClock::new(Timestamp::from_secs(1_790_040_000));
    let backend = Arc::new(FakeBackend::new(clock.clone()));
    backend.set_mood(mood);
    println!(
        "alert {} series {} read {}",
        backend.known_alert(),
        backend.known_series().join(" "),
        backend.overviews()
    );
    let showcase = Arc::new(FakeShowcase);
    let app = router(backend, Options::new(Arc::new(clock.clone()), Language::En).with_showcase(showcase));
    tokio::spawn(async move {
        let mut beat = tokio::time::interval(Duration::from_millis(100));
        loop {
            beat.tick().await;
            clock.advance(Duration::from_secs(6));
        }
    });
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}/", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
