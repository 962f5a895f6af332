//! Tasks that must not end: watched, started again after a failure, counted.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::Clock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// First pause before a failed task is started again; doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How a task fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TaskHealth {
    /// Whether it runs now.
    pub(super) running: bool,
    /// How often it failed since start.
    pub(super) failures: u64,
    /// Its last error.
    pub(super) error: String,
}

/// The tasks of this process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks {
    tracker: TaskTracker,
    health: Arc<Mutex<BTreeMap<String, TaskHealth>>>,
}

impl Tasks {
    /// Runs a task until `shutdown`. When it fails or panics before, it is started again after a pause that doubles.
    pub(super) fn supervise<F, E>(
        &self,
        name: &str,
        clock: Arc<dyn Clock>,
        shutdown: CancellationToken,
        mut start: impl FnMut() -> F + Send + 'static,
    ) where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error + Send + 'static,
    {
        let (tasks, name) = (self.clone(), name.to_owned());
        self.tracker.spawn(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                tasks.note(&name, |health| health.running = true);
                let ended = tokio::spawn(start()).await;
                tasks.note(&name, |health| health.running = false);
                let error = match ended {
                    Ok(Ok(())) if shutdown.is_cancelled() => break,
                    Ok(Ok(())) => "ended by itself".to_owned(),
                    Ok(Err(error)) => model::causes(&error),
                    Err(panicked) => model::causes(&panicked),
                };
                if shutdown.is_cancelled() {
                    tracing::error!(task = %name, %error, "failed while stopping");
                    break;
                }
                tracing::error!(task = %name, %error, "failed; starting it again in {pause:?}");
                tasks.note(&name, |health| {
                    health.failures += 1;
                    health.error = error;
                });
                tokio::select! {
                    () = clock.sleep(pause) => {}
                    () = shutdown.cancelled() => break,
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }

    /// Runs a task that ends by itself.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task);
    }

    /// How every supervised task fares.
    pub(super) fn health(&self) -> BTreeMap<String, TaskHealth> {
        self.lock().clone()
    }

    /// Waits for every task to end; whether they did in time.
    pub(super) async fn ended_within(&self, clock: &dyn Clock, grace: Duration) -> bool {
        self.tracker.close();
        tokio::select! {
            () = self.tracker.wait() => true,
            () = clock.sleep(grace) => false,
        }
    }

    fn note(&self, name: &str, edit: impl FnOnce(&mut TaskHealth)) {
        edit(self.lock().entry(name.to_owned()).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, TaskHealth>> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ManualClock, Timestamp};
    use std::sync::atomic::{AtomicU32, Ordering};

    #[derive(Debug, thiserror::Error)]
    #[error("broken")]
    struct Broken;

    #[tokio::test]
    async fn a_failed_task_is_started_again_and_its_error_kept() {
        let clock = ManualClock::new(Timestamp::from_secs(0));
        let (tasks, shutdown) = (Tasks::default(), CancellationToken::new());
        let starts = Arc::new(AtomicU32::new(0));
        let (counted, stop) = (Arc::clone(&starts), shutdown.clone());
        tasks.supervise("t", Arc::new(clock.clone()), shutdown.clone(), move || {
            let (nth, stop) = (counted.fetch_add(1, Ordering::SeqCst), stop.clone());
            async move {
                if nth == 0 {
                    return Err(Broken);
                }
                stop.cancelled().await;
                Ok(())
            }
        });
        while clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        clock.advance(FIRST_PAUSE);
        while starts.load(Ordering::SeqCst) < 2 || !tasks.health()["t"].running {
            tokio::task::yield_now().await;
        }
        assert_eq!(tasks.health()["t"], TaskHealth { running: true, failures: 1, error: "broken".into() });
        shutdown.cancel();
        assert!(tasks.ended_within(&clock, Duration::from_secs(1)).await);
    }
}
