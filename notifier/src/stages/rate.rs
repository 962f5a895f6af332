//! How many messages a receiver gets: a token bucket in domain time that survives a restart.
//!
//! One outage must not send 28,000 messages. When the bucket is empty a notification waits, and all that wait are
//! merged into one summary that counts them. A fifth of the bucket is kept back for P0.

use std::time::Duration;

use model::{Severity, Timestamp};

use crate::config::RateLimitConfig;

/// The bucket of one receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    /// What is in it.
    pub tokens: f64,
    /// When that was so.
    pub at: Timestamp,
    /// When what waits is merged; `None` when nothing waits.
    pub merge_at: Option<Timestamp>,
}

impl Bucket {
    /// A full one.
    pub fn full(limit: &RateLimitConfig, now: Timestamp) -> Self {
        Self { tokens: f64::from(limit.messages.max(1)), at: now, merge_at: None }
    }

    /// Takes a token for a message of this severity; when there is none (or others wait already, which go first) the
    /// message waits until `merge_at`.
    pub fn take(&mut self, limit: &RateLimitConfig, severity: Severity, now: Timestamp) -> bool {
        self.refill(limit, now);
        let capacity = f64::from(limit.messages.max(1));
        let reserve = if severity == Severity::P0 || capacity < 5.0 { 0.0 } else { capacity / 5.0 };
        if self.merge_at.is_none() && self.tokens >= reserve + 1.0 {
            self.tokens -= 1.0;
            return true;
        }
        if self.merge_at.is_none() {
            let refill = limit.per.0.mul_f64(1.0 / capacity);
            self.merge_at = Some(now + refill.max(limit.per.0 / 10).max(Duration::from_secs(1)));
        }
        false
    }

    /// Takes a token for a message that goes out in any case, such as a summary or a digest.
    pub fn take_anyway(&mut self, limit: &RateLimitConfig, now: Timestamp) {
        self.refill(limit, now);
        self.tokens = (self.tokens - 1.0).max(0.0);
    }

    fn refill(&mut self, limit: &RateLimitConfig, now: Timestamp) {
        let capacity = f64::from(limit.messages.max(1));
        let per = limit.per.0.as_secs_f64().max(1e-9);
        let gained = now.since(self.at).as_secs_f64() / per * capacity;
        self.tokens = (self.tokens + gained).min(capacity);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::HumanDuration;

    #[test]
    fn a_flood_is_bounded_whatever_its_size() {
        let limit = RateLimitConfig { messages: 10, per: HumanDuration::from_secs(600) };
        let mut bucket = Bucket::full(&limit, Timestamp::from_secs(0));
        let mut sent = 0;
        for second in 0..3_600 {
            let now = Timestamp::from_secs(second);
            if bucket.merge_at.is_some_and(|at| at <= now) {
                bucket.merge_at = None;
                bucket.take_anyway(&limit, now);
                sent += 1;
            }
            sent += (0..10).filter(|_| bucket.take(&limit, Severity::P2, now)).count();
        }
        assert!((60..=70).contains(&sent), "{sent} messages in an hour at 10 in 10 minutes");
    }

    #[test]
    fn a_fifth_is_kept_for_the_worst_and_a_clock_that_goes_back_gives_nothing() {
        let limit = RateLimitConfig { messages: 10, per: HumanDuration::from_secs(600) };
        let now = Timestamp::from_secs(1_000);
        let mut bucket = Bucket::full(&limit, now);
        assert_eq!((0..10).filter(|_| bucket.take(&limit, Severity::P1, now)).count(), 8);
        bucket.merge_at = None;
        assert_eq!((0..10).filter(|_| bucket.take(&limit, Severity::P0, now)).count(), 2);
        bucket.merge_at = None;
        assert!(!bucket.take(&limit, Severity::P0, Timestamp::from_secs(500)));
    }
}
