//! The made-up lending business: how much happens in every minute.
//!
//! A pure function of seed and minute: history, live rows and the risk API ask the same one and so agree. Each stream
//! has a daily and a weekly rhythm in Shanghai's time and its own good and bad days; counts are Poisson. Minutes are
//! counted from the first live one, so that one seed gives the same business on whatever date it runs.

use std::time::Duration;

use chrono::{Datelike, Timelike};
use model::{Timestamp, Window};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rand_distr::{Binomial, Distribution, LogNormal, Normal, Poisson};

use super::script::{Plant, Script};

/// The zone the business lives in.
pub(crate) const ZONE: chrono_tz::Tz = chrono_tz::Asia::Shanghai;
/// One minute: what history is made of and what samplers ask for.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Share of checks that pass in normal times.
const PASS_RATE: f64 = 0.62;
/// By how much the drift lowers it at its end.
const DRIFT: f64 = 0.22;

/// Something that happens and is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stream {
    /// New customers.
    Registrations,
    /// Logins.
    Logins,
    /// Applications for credit, by channel.
    Applications(Channel),
    /// Credit checks: of applications, and of customers who draw again.
    Checks,
    /// Orders financed, by channel.
    Orders(Channel),
    /// Loans paid out; each has an amount.
    Loans,
    /// Instalments paid back; each has an amount.
    Repayments,
}

/// The way a customer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Channel {
    /// The app.
    App,
    /// The web site.
    Web,
    /// A partner's shop: low volume.
    Partner,
}

impl Channel {
    /// Every channel.
    pub(crate) const ALL: [Self; 3] = [Self::App, Self::Web, Self::Partner];

    /// Its name in the tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Web => "web",
            Self::Partner => "partner",
        }
    }

    const fn number(self) -> u64 {
        match self {
            Self::App => 0,
            Self::Web => 1,
            Self::Partner => 2,
        }
    }
}

/// Activity by hour of a day on which people order: quiet nights, a morning, a lunch, a long evening.
const SHOPPING: [f64; 24] = [
    0.42, 0.28, 0.20, 0.16, 0.15, 0.18, 0.28, 0.46, 0.68, 0.84, 0.92, 0.97, 0.99, 0.90, 0.86, 0.86, 0.88,
    0.92, 0.97, 1.00, 1.00, 0.95, 0.80, 0.60,
];
/// Activity by hour of what offices and salary accounts do.
const OFFICE: [f64; 24] = [
    0.28, 0.22, 0.19, 0.18, 0.18, 0.20, 0.28, 0.46, 0.74, 0.94, 1.00, 0.98, 0.82, 0.86, 0.96, 0.98, 0.95,
    0.88, 0.76, 0.68, 0.62, 0.54, 0.44, 0.34,
];

struct Shape {
    /// Events a minute at the busiest hour of a working day.
    peak: f64,
    hours: &'static [f64; 24],
    /// Saturdays and Sundays against working days.
    weekend: f64,
}

impl Stream {
    const fn shape(self) -> Shape {
        let (peak, hours, weekend) = match self {
            Self::Registrations => (22.0, &SHOPPING, 1.15),
            Self::Logins => (140.0, &SHOPPING, 1.05),
            Self::Applications(Channel::App) => (42.0, &OFFICE, 0.75),
            Self::Applications(Channel::Web) => (17.0, &OFFICE, 0.70),
            Self::Applications(Channel::Partner) => (1.4, &OFFICE, 0.60),
            Self::Checks => (180.0, &OFFICE, 0.80),
            Self::Orders(Channel::App) => (46.0, &SHOPPING, 1.20),
            Self::Orders(Channel::Web) => (18.0, &SHOPPING, 1.10),
            Self::Orders(Channel::Partner) => (1.2, &SHOPPING, 1.00),
            Self::Loans => (21.0, &OFFICE, 0.55),
            Self::Repayments => (20.0, &OFFICE, 0.80),
        };
        Shape { peak, hours, weekend }
    }

    const fn number(self) -> u64 {
        match self {
            Self::Registrations => 1,
            Self::Logins => 2,
            Self::Applications(channel) => 10 + channel.number(),
            Self::Checks => 15,
            Self::Orders(channel) => 20 + channel.number(),
            Self::Loans => 30,
            Self::Repayments => 31,
        }
    }

    /// Middle of the amounts, in cents, and their spread; streams without amounts have zero.
    const fn amount(self) -> (f64, f64) {
        match self {
            Self::Loans => (480_000.0, 0.45),
            Self::Repayments => (62_000.0, 0.50),
            Self::Orders(_) => (36_000.0, 0.80),
            _ => (0.0, 0.0),
        }
    }
}

/// Salts of what is drawn beside the streams.
const DECISIONS: u64 = 40;
const LATENCY: u64 = 41;
const DAY: u64 = 1_000;
const ROWS: u64 = 2_000;

/// A promotion, as it stands in the calendar too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Promotion {
    /// When.
    pub(crate) window: Window,
    /// Multiplies orders and registrations.
    pub(crate) factor: f64,
}

/// One event of a minute: when in it, and how much money.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Event {
    /// When.
    pub(crate) at: Timestamp,
    /// Cents; 0 where the stream has no amounts.
    pub(crate) cents: i64,
}

/// The business.
#[derive(Clone, Debug)]
pub(crate) struct Business {
    seed: u64,
    live_from: Timestamp,
    script: Script,
}

impl Business {
    /// The business of this seed, whose live time begins at `live_from`.
    pub(crate) fn new(seed: u64, live_from: Timestamp) -> Self {
        Self { seed, live_from, script: Script::new(live_from) }
    }

    /// What is planted.
    pub(crate) fn script(&self) -> &Script {
        &self.script
    }

    /// First live instant.
    pub(crate) fn live_from(&self) -> Timestamp {
        self.live_from
    }

    /// Promotions of the demo: every third day from the first live one on, two hours after lunch, where no anomaly of
    /// orders is planted.
    pub(crate) fn promotions(&self) -> Vec<Promotion> {
        let after_lunch = self.live_from + Duration::from_secs(4 * 3_600);
        let days = (0..20u32).map(|n| after_lunch + Duration::from_secs(3 * 86_400) * n);
        days.map(|at| Promotion { window: self.script.quiet_for_orders(at), factor: 1.6 }).collect()
    }

    /// How many of a stream happen in the minute that begins at `minute`.
    pub(crate) fn count(&self, stream: Stream, minute: Timestamp) -> u64 {
        let mut rng = self.rng(stream.number(), minute);
        let intensity = self.intensity(stream, minute);
        Poisson::new(intensity.max(1e-6)).map_or(0, |poisson| poisson.sample(&mut rng) as u64)
    }

    /// The events of a stream in a minute, as many as [`Business::count`] says.
    pub(crate) fn events(&self, stream: Stream, minute: Timestamp) -> Vec<Event> {
        let mut rng = self.rng(ROWS + stream.number(), minute);
        let (middle, spread) = stream.amount();
        let amounts = LogNormal::new(middle.max(1.0).ln(), spread).ok();
        (0..self.count(stream, minute))
            .map(|_| {
                let at = minute + Duration::from_millis(rng.random_range(0..60_000));
                let drawn = amounts.filter(|_| middle > 0.0).map_or(0.0, |amounts| amounts.sample(&mut rng));
                Event { at, cents: drawn.round() as i64 }
            })
            .collect()
    }

    /// How many and how much money, in cents, in a minute.
    pub(crate) fn sum(&self, stream: Stream, minute: Timestamp) -> (u64, i64) {
        let events = self.events(stream, minute);
        (events.len() as u64, events.iter().map(|event| event.cents).sum())
    }

    /// Checks decided in a minute, and how many of them passed.
    pub(crate) fn decisions(&self, minute: Timestamp) -> (u64, u64) {
        let decided = self.count(Stream::Checks, minute);
        let drift = self.script.progress(Plant::PassRateDrift, minute).unwrap_or(0.0) * DRIFT;
        let mut rng = self.rng(DECISIONS, minute);
        let passed =
            Binomial::new(decided, PASS_RATE - drift).map_or(0, |binomial| binomial.sample(&mut rng));
        (decided, passed)
    }

    /// The risk API's 95th percentile of a minute, in milliseconds.
    pub(crate) fn latency_ms(&self, minute: Timestamp) -> f64 {
        let busy = self.activity(&OFFICE, minute);
        let mut rng = self.rng(LATENCY, minute);
        let noise = Normal::new(0.0, 0.06).map_or(0.0, |normal| normal.sample(&mut rng));
        ((120.0 + 90.0 * busy) * (1.0 + noise) * 10.0).round() / 10.0
    }

    fn intensity(&self, stream: Stream, minute: Timestamp) -> f64 {
        let shape = stream.shape();
        let local = minute.in_zone(ZONE);
        let weekend = if local.weekday().number_from_monday() > 5 { shape.weekend } else { 1.0 };
        let normal =
            shape.peak * self.activity(shape.hours, minute) * weekend * self.day_factor(stream, minute);
        normal * self.promotion(stream, minute) * self.planted(stream, minute)
    }

    /// Activity between the hours, without corners.
    fn activity(&self, hours: &[f64; 24], minute: Timestamp) -> f64 {
        let local = minute.in_zone(ZONE);
        let (hour, share) = (local.hour() as usize, f64::from(local.minute()) / 60.0);
        let smooth = (1.0 - (share * std::f64::consts::PI).cos()) / 2.0;
        hours[hour] * (1.0 - smooth) + hours[(hour + 1) % 24] * smooth
    }

    /// Good and bad days: a few per cent up or down, blended over midnight.
    fn day_factor(&self, stream: Stream, minute: Timestamp) -> f64 {
        let local = minute.in_zone(ZONE);
        let day = |back: u32| {
            let midnight = minute - Duration::from_secs(u64::from(local.num_seconds_from_midnight()));
            let mut rng = self.rng(DAY + stream.number(), midnight - Duration::from_secs(86_400) * back);
            Normal::new(1.0, 0.025).map_or(1.0, |normal| normal.sample(&mut rng))
        };
        let share = (f64::from(local.num_seconds_from_midnight()) / (4.0 * 3_600.0)).min(1.0);
        day(1) * (1.0 - share) + day(0) * share
    }

    fn promotion(&self, stream: Stream, minute: Timestamp) -> f64 {
        if !matches!(stream, Stream::Orders(_) | Stream::Registrations) || minute < self.live_from {
            return 1.0;
        }
        let on = self.promotions().into_iter().find(|promotion| promotion.window.contains(minute));
        on.map_or(1.0, |promotion| promotion.factor)
    }

    fn planted(&self, stream: Stream, minute: Timestamp) -> f64 {
        match stream {
            Stream::Orders(_) if self.script.progress(Plant::OrdersDrop, minute).is_some() => 0.2,
            Stream::Logins if self.script.progress(Plant::LoginsSpike, minute).is_some() => 4.0,
            _ => 1.0,
        }
    }

    /// A generator of its own for every salt and minute, so that nothing depends on what was drawn before.
    fn rng(&self, salt: u64, minute: Timestamp) -> Xoshiro256PlusPlus {
        let offset = (minute.as_secs() - self.live_from.as_secs()).div_euclid(60);
        let mixed = mix(self.seed ^ mix(salt) ^ mix(offset.cast_unsigned()).rotate_left(17));
        Xoshiro256PlusPlus::seed_from_u64(mixed)
    }
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014).
const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tuesday 2026-09-22, 09:30 in Shanghai.
    const START: Timestamp = Timestamp::from_secs(1_790_040_600);

    fn minutes(from: i64, count: i64) -> impl Iterator<Item = Timestamp> {
        (from..from + count).map(|m| Timestamp::from_secs(START.as_secs() + m * 60))
    }

    fn mean(business: &Business, stream: Stream, from: i64, count: i64) -> f64 {
        minutes(from, count).map(|m| business.count(stream, m) as f64).sum::<f64>() / count as f64
    }

    #[test]
    fn one_seed_is_one_business_whatever_the_date() {
        let week = 7 * 86_400;
        let (one, later) = (Business::new(1, START), Business::new(1, START + Duration::from_secs(week)));
        for (a, b) in minutes(-1000, 200).zip(minutes(-1000 + 7 * 1440, 200)) {
            assert_eq!(one.count(Stream::Logins, a), later.count(Stream::Logins, b));
        }
        let other = Business::new(2, START);
        assert!(minutes(0, 50).any(|m| one.count(Stream::Logins, m) != other.count(Stream::Logins, m)));
    }

    #[test]
    fn the_rhythm_of_day_and_week_is_there() {
        let business = Business::new(1, START);
        // 60 minutes from 10:30 on a Tuesday against 03:30 of the same day, and against the Sunday before.
        let busy = mean(&business, Stream::Loans, -7 * 1440 + 60, 60);
        let night = mean(&business, Stream::Loans, -7 * 1440 - 360, 60);
        let sunday = mean(&business, Stream::Loans, -2 * 1440 + 60, 60);
        assert!(night < busy * 0.3, "{night} {busy}");
        assert!(sunday < busy * 0.7 && sunday > busy * 0.4, "{sunday} {busy}");
    }

    #[test]
    fn what_is_planted_shows_and_only_where_it_is_planted() {
        let business = Business::new(1, START);
        let orders = Stream::Orders(Channel::App);
        let (before, during) = (mean(&business, orders, -12, 20), mean(&business, orders, 8, 12));
        assert!(during < before * 0.35, "{during} {before}");
        let (before, during) =
            (mean(&business, Stream::Logins, 20, 15), mean(&business, Stream::Logins, 35, 10));
        assert!(during > before * 3.0, "{during} {before}");
        let rate = |from| {
            let all: Vec<_> = minutes(from, 5).map(|m| business.decisions(m)).collect();
            all.iter().map(|d| d.1).sum::<u64>() as f64 / all.iter().map(|d| d.0).sum::<u64>() as f64
        };
        assert!(rate(125) < rate(78) - 0.1, "{} {}", rate(125), rate(78));
    }

    #[test]
    fn promotions_come_in_the_afternoon_and_touch_no_anomaly_of_orders() {
        let business = Business::new(1, START);
        for promotion in business.promotions() {
            assert_eq!(promotion.window.length(), Duration::from_secs(2 * 3_600));
            let hour = promotion.window.start.in_zone(ZONE).hour();
            assert!((10..17).contains(&hour), "{promotion:?}");
            let drops = business.script().around(promotion.window.start, 1, 1);
            let touches = |p: &super::super::script::Planted| {
                p.plant == Plant::OrdersDrop
                    && p.window.start < promotion.window.end
                    && promotion.window.start < p.window.end
            };
            assert!(!drops.iter().any(touches), "{promotion:?}");
        }
    }

    #[test]
    fn a_promotion_lifts_orders_by_what_the_calendar_says() {
        let business = Business::new(1, START);
        let first = business.promotions()[0].window.start;
        let from = (first.as_secs() - START.as_secs()) / 60;
        let orders = Stream::Orders(Channel::App);
        let (before, during) = (mean(&business, orders, from - 22, 22), mean(&business, orders, from, 60));
        assert!((1.4..1.8).contains(&(during / before)), "{during} {before}");
    }

    #[test]
    fn rows_agree_with_counts() {
        let business = Business::new(7, START);
        for minute in minutes(-30, 60) {
            let events = business.events(Stream::Loans, minute);
            assert_eq!(events.len() as u64, business.count(Stream::Loans, minute));
            assert!(events.iter().all(|e| Window::new(minute, MINUTE).contains(e.at) && e.cents > 0));
        }
    }
}
