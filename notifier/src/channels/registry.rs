//! How a channel type takes part: what its file implements, and the configuration that is keyed by its name.
//!
//! [`ChannelConfig`] reads itself by the list in `channels/mod.rs`: its schema, its reader and what it can do all come
//! from the type's own file, so that a type needs nothing but that file and its place in the list.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use model::Clock;
use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::TYPES;
use crate::channel::Channel;
use crate::validate::Problems;

/// What a channel type's configuration is and can do. Implemented in the type's own file.
pub(crate) trait ChannelType:
    fmt::Debug + PartialEq + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// The type's name in configuration, database and metrics, in snake case.
    const KIND: &'static str;

    /// What it is, in a few words; becomes the reference.
    const ABOUT: &'static str;

    /// Whether messages that were not sent yet are dropped when their incident is acknowledged: they would wake
    /// somebody for what somebody has in hand.
    const ENDS_WHEN_ACKNOWLEDGED: bool = false;

    /// Whom it reaches; each gets a delivery of its own. Holds no secret.
    fn recipients(&self) -> Vec<String>;

    /// Notes what a schema cannot see. `path` is the place of the type's own section.
    fn check(&self, path: &[String], problems: &mut Problems);

    /// Makes the channel. Connects to nothing; secret files may be read.
    ///
    /// # Errors
    /// What is wrong, such as a secret file that cannot be read.
    fn build(&self, clock: Arc<dyn Clock>) -> Result<Arc<dyn Channel>, String>;
}

/// A type's section, whatever the type.
trait Section: fmt::Debug + Send + Sync {
    fn recipients(&self) -> Vec<String>;
    fn check(&self, path: &[String], problems: &mut Problems);
    fn build(&self, clock: Arc<dyn Clock>) -> Result<Arc<dyn Channel>, String>;
    fn equals(&self, other: &dyn Section) -> bool;
    fn to_value(&self) -> Result<Value, serde_json::Error>;
    fn as_any(&self) -> &dyn Any;
}

impl<T: ChannelType> Section for T {
    fn recipients(&self) -> Vec<String> {
        ChannelType::recipients(self)
    }

    fn check(&self, path: &[String], problems: &mut Problems) {
        ChannelType::check(self, path, problems);
    }

    fn build(&self, clock: Arc<dyn Clock>) -> Result<Arc<dyn Channel>, String> {
        ChannelType::build(self, clock)
    }

    fn equals(&self, other: &dyn Section) -> bool {
        other.as_any().downcast_ref::<T>() == Some(self)
    }

    fn to_value(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// An entry of the list of types.
pub(crate) struct TypeEntry {
    kind: &'static str,
    about: &'static str,
    ends_when_acknowledged: bool,
    read: fn(Value) -> Result<Arc<dyn Section>, serde_json::Error>,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl TypeEntry {
    /// The entry of a type.
    pub(super) const fn of<T: ChannelType>() -> Self {
        Self {
            kind: T::KIND,
            about: T::ABOUT,
            ends_when_acknowledged: T::ENDS_WHEN_ACKNOWLEDGED,
            read: |value| Ok(Arc::new(serde_json::from_value::<T>(value)?)),
            schema: |generator| generator.subschema_for::<T>(),
        }
    }
}

/// A channel of a receiver, keyed by its type: `email: {to: [..]}`.
#[derive(Clone)]
pub struct ChannelConfig {
    entry: &'static TypeEntry,
    section: Arc<dyn Section>,
}

impl ChannelConfig {
    /// Name of its type.
    pub fn kind(&self) -> &'static str {
        self.entry.kind
    }

    /// Whom it reaches.
    pub fn recipients(&self) -> Vec<String> {
        self.section.recipients()
    }

    /// Whether what it has not sent yet ends when its incident is acknowledged.
    pub fn ends_when_acknowledged(&self) -> bool {
        self.entry.ends_when_acknowledged
    }

    /// Notes what is wrong with it beyond its schema.
    pub(crate) fn check(&self, path: &[String], problems: &mut Problems) {
        let path: Vec<String> = path.iter().cloned().chain([self.kind().to_owned()]).collect();
        self.section.check(&path, problems);
    }

    /// Makes the channel.
    ///
    /// # Errors
    /// What is wrong, such as a secret file that cannot be read.
    pub fn build(&self, clock: Arc<dyn Clock>) -> Result<Arc<dyn Channel>, String> {
        self.section.build(clock)
    }
}

impl fmt::Debug for ChannelConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.section.fmt(f)
    }
}

impl PartialEq for ChannelConfig {
    fn eq(&self, other: &Self) -> bool {
        self.section.equals(&*other.section)
    }
}

impl Serialize for ChannelConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.kind(), &self.section.to_value().map_err(S::Error::custom)?)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for ChannelConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = Map::deserialize(deserializer)?;
        let valid = || TYPES.iter().map(|entry| entry.kind).collect::<Vec<_>>().join(", ");
        let mut keys = map.into_iter();
        let (Some((kind, section)), None) = (keys.next(), keys.next()) else {
            return Err(D::Error::custom(format!("a channel has exactly one type, of: {}", valid())));
        };
        let entry = TYPES.iter().find(|entry| entry.kind == kind).ok_or_else(|| {
            D::Error::custom(format!("unknown channel type `{kind}`, valid are: {}", valid()))
        })?;
        Ok(Self { entry, section: (entry.read)(section).map_err(D::Error::custom)? })
    }
}

impl JsonSchema for ChannelConfig {
    fn schema_name() -> Cow<'static, str> {
        "ChannelConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let branches: Vec<Value> = TYPES.iter().map(|entry| branch(entry, generator)).collect();
        json_schema!({
            "oneOf": branches,
            "description": "A channel of a receiver, keyed by its type: `email: {to: [..]}`.",
        })
    }
}

/// The schema of a mapping with this type's key.
fn branch(entry: &TypeEntry, generator: &mut SchemaGenerator) -> Value {
    let mut properties = Map::new();
    properties.insert(entry.kind.to_owned(), (entry.schema)(generator).to_value());
    serde_json::json!({
        "type": "object",
        "properties": properties,
        "required": [entry.kind],
        "additionalProperties": false,
        "description": entry.about,
    })
}
