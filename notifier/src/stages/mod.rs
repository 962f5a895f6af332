//! The stages a group's flush goes through. Each does one thing and says why.
//!
//! mute (does the route speak now?), inhibit (which alerts does another one explain?), change (what is there to tell?),
//! rate (may this receiver get one more message?).

pub mod change;
pub mod inhibit;
pub mod rate;
