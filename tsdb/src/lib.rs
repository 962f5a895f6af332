//! Time-series storage: what a replica holds and how it is fed.
//!
//! * [`points`] is the one place where entries of the log become points (the measurement layout).
//! * [`EmbeddedStore`] keeps points in one file and a bounded head in memory; the log is its write-ahead log.
//! * [`StoreConfig`] lists the types of stores; a [`Store`] is one that was opened.
//! * [`open_side_by_side`] opens several; one that cannot be opened is tried again while the others work.
//! * [`Replica`] is the consumer that feeds one store from the log, whatever the store is.
//! * [`Repair`] copies to a replica what it missed; [`Replicas`] reads all of them as one.
//!
//! Nothing else writes to a replica. The crate reads the log through [`model::SampleLog`] and never appends to it.

pub mod embedded;
mod influx;
mod opening;
pub mod points;
pub mod replica;
mod stores;

pub use embedded::{EmbeddedConfig, EmbeddedOptions, EmbeddedStore};
pub use influx::{ContentEncoding, InfluxdbConfig, InfluxdbV2Config};
pub use opening::open_side_by_side;
pub use points::entry_points;
pub use replica::{
    FollowError, FollowOptions, Progress, ReadOptions, Repair, RepairOptions, Repairing, Replica,
    ReplicaMetrics, Replicas, Standing, Status, Stopped,
};
pub use stores::{ProbeError, Problem, Store, StoreConfig};
