//! A YAML tree in which every key and value knows its place.

use serde_json::Value;

use super::finding::{Finding, Place};

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Where it begins.
    pub(crate) place: Place,
    /// What it is.
    pub(crate) content: Content,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// A scalar.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file; keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A scalar.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scalar {
    /// Its text after YAML escapes and `${NAME}`.
    pub(crate) text: String,
    /// What it means.
    pub(crate) value: Value,
    /// Whether it was written without quotes, so that its text decides its type.
    pub(crate) plain: bool,
    /// Its text as it stood in the file, when `${NAME}` changed it: what messages show.
    pub(crate) written: Option<String>,
    /// Bytes of the file it was read from.
    pub(crate) bytes: (usize, usize),
    /// Why `${NAME}` in it could not be expanded: its text then says nothing.
    pub(crate) unset: Option<Finding>,
}

/// A key of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Its text.
    pub(crate) text: String,
    /// Where it stands.
    pub(crate) place: Place,
}

impl Node {
    /// As JSON.
    pub(crate) fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(scalar) => scalar.value.clone(),
            Content::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Content::Map(entries) => {
                Value::Object(entries.iter().map(|(key, node)| (key.text.clone(), node.to_value())).collect())
            }
        }
    }

    /// The value under a key.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        self.entry(name).map(|(_, node)| node)
    }

    /// The key and the value under it.
    pub(crate) fn entry(&self, name: &str) -> Option<(&Key, &Self)> {
        let Content::Map(entries) = &self.content else { return None };
        entries.iter().find(|(key, _)| key.text == name).map(|(key, node)| (key, node))
    }

    /// Keys and values; none when it is no mapping.
    pub(crate) fn entries(&self) -> &[(Key, Self)] {
        match &self.content {
            Content::Map(entries) => entries,
            Content::Scalar(_) | Content::List(_) => &[],
        }
    }

    /// Items; none when it is no list.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.content {
            Content::List(items) => items,
            Content::Scalar(_) | Content::Map(_) => &[],
        }
    }

    /// Its text, when it is a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(scalar) => Some(&scalar.text),
            Content::List(_) | Content::Map(_) => None,
        }
    }

    /// Whether nothing stands there: `key:`, or `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.value.is_null())
    }

    /// Whether its `${NAME}` could not be expanded.
    pub(crate) fn is_unset(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.unset.is_some())
    }

    /// The node at a path of keys and indices.
    pub(crate) fn at<S: AsRef<str>>(&self, path: &[S]) -> Option<&Self> {
        path.iter().try_fold(self, |node, step| node.step(step.as_ref()))
    }

    /// The node at a path, to change it.
    pub(crate) fn at_mut<S: AsRef<str>>(&mut self, path: &[S]) -> Option<&mut Self> {
        path.iter().try_fold(self, |node, step| match &mut node.content {
            Content::Scalar(_) => None,
            Content::List(items) => items.get_mut(step.as_ref().parse::<usize>().ok()?),
            Content::Map(entries) => {
                entries.iter_mut().find(|(key, _)| key.text == step.as_ref()).map(|(_, node)| node)
            }
        })
    }

    /// The place of the deepest node on a path that exists, so that a mistake always has one.
    pub(crate) fn nearest_place<S: AsRef<str>>(&self, path: &[S]) -> Place {
        let mut node = self;
        for step in path {
            match node.step(step.as_ref()) {
                Some(next) => node = next,
                None => break,
            }
        }
        node.place
    }

    fn step(&self, step: &str) -> Option<&Self> {
        match &self.content {
            Content::Scalar(_) => None,
            Content::List(items) => items.get(step.parse::<usize>().ok()?),
            Content::Map(_) => self.get(step),
        }
    }

    /// Changes every scalar.
    pub(crate) fn each_scalar(&mut self, change: &mut impl FnMut(Place, &mut Scalar)) {
        match &mut self.content {
            Content::Scalar(scalar) => change(self.place, scalar),
            Content::List(items) => items.iter_mut().for_each(|item| item.each_scalar(change)),
            Content::Map(entries) => entries.iter_mut().for_each(|(_, node)| node.each_scalar(change)),
        }
    }
}

/// At most 60 characters of a text, on one line.
pub(crate) fn shorten(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(60).map(clean).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}
