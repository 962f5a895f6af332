//! Violations of the schema in plain words, each at its place.
//!
//! A choice (`anyOf`, `oneOf`) is explained by the branch that was meant: for a mapping keyed by its type
//! (`sqlite: {..}`) the branch of that key, for a list of words the nearest word, else the branch that got furthest.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::LocationSegment;
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::finding::{Finding, Place};
use super::nearest::hint;
use super::scalar;
use super::schema::wants;
use super::tree::{Content, Node, shorten};
use super::zone;

/// A finding and the path it speaks of, so that later checks leave alone what is broken already.
#[derive(Clone, Debug)]
pub(crate) struct Issue {
    /// Keys and indices from the top.
    pub(crate) path: Vec<String>,
    /// The finding.
    pub(crate) finding: Finding,
}

/// The path of the value an error speaks of.
pub(crate) fn path_of(error: &ValidationError<'_>) -> Vec<String> {
    let text = |segment: LocationSegment<'_>| match segment {
        LocationSegment::Property(name) => name.to_string(),
        LocationSegment::Index(index) => index.to_string(),
    };
    error.instance_path().iter().map(text).collect()
}

/// Scalars whose `${NAME}` could not be expanded, as issues, so that no later check judges them.
pub(crate) fn unset(root: &Node) -> Vec<Issue> {
    fn walk(node: &Node, path: &mut Vec<String>, issues: &mut Vec<Issue>) {
        let mut visit = |step: String, child: &Node| {
            path.push(step);
            walk(child, path, issues);
            path.pop();
        };
        match &node.content {
            Content::List(items) => items.iter().enumerate().for_each(|(i, item)| visit(i.to_string(), item)),
            Content::Map(entries) => entries.iter().for_each(|(key, child)| visit(key.text.clone(), child)),
            Content::Scalar(scalar) => {
                let found = scalar.unset.clone();
                issues.extend(found.map(|finding| Issue { path: path.clone(), finding }));
            }
        }
    }
    let mut issues = Vec::new();
    walk(root, &mut Vec::new(), &mut issues);
    issues
}

/// Turns violations into findings.
pub(crate) struct Explainer<'a> {
    schema: &'a Value,
    root: &'a Node,
    issues: Vec<Issue>,
}

impl<'a> Explainer<'a> {
    /// For a tree and the schema it was checked against.
    pub(crate) fn new(schema: &'a Value, root: &'a Node) -> Self {
        Self { schema, root, issues: Vec::new() }
    }

    /// What was found.
    pub(crate) fn finish(self) -> Vec<Issue> {
        self.issues
    }

    /// Takes a violation in.
    pub(crate) fn explain(&mut self, error: &ValidationError<'_>) {
        let path = path_of(error);
        let Some(node) = self.root.at(&path).filter(|node| !node.is_unset()) else { return };
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                self.unknown_keys(error, path, node, unexpected);
            }
            ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
                self.choice(error, path, node, context);
            }
            kind => {
                let message = self.say(error, kind, node);
                self.add(path, node.place, message);
            }
        }
    }

    fn add(&mut self, path: Vec<String>, place: Place, message: String) {
        self.issues.push(Issue { path, finding: Finding::error(place, message) });
    }

    fn unknown_keys(
        &mut self,
        error: &ValidationError<'_>,
        path: Vec<String>,
        node: &Node,
        unexpected: &[String],
    ) {
        let parent = parent_pointer(error.schema_path().as_str());
        let properties = self.schema.pointer(&format!("{parent}/properties")).and_then(Value::as_object);
        let valid: Vec<&str> =
            properties.map_or_else(Vec::new, |properties| properties.keys().map(String::as_str).collect());
        for name in unexpected {
            let place = node.entry(name).map_or(node.place, |(key, _)| key.place);
            let message = format!("unknown key `{}`{}", shorten(name), hint(name, &valid));
            let path = path.iter().cloned().chain([name.clone()]).collect();
            self.add(path, place, message);
        }
    }

    fn choice(
        &mut self,
        error: &ValidationError<'_>,
        path: Vec<String>,
        node: &Node,
        context: &[Vec<ValidationError<'static>>],
    ) {
        let keys = self.branch_keys(error.schema_path().as_str());
        if !keys.is_empty() && matches!(node.content, Content::Map(_)) {
            return self.keyed_choice(path, node, context, &keys);
        }
        let at_root = |e: &ValidationError<'_>| path_of(e) == path;
        let deep = |branch: &&Vec<ValidationError<'static>>| {
            !branch.iter().any(|e| at_root(e) && (type_of(e).is_some() || !words_of(e).is_empty()))
        };
        if let Some(branch) = context.iter().filter(deep).min_by_key(|branch| branch.len()) {
            return branch.iter().for_each(|inner| self.explain(inner));
        }
        if let Some(nested) = context.iter().flatten().find(|e| is_choice(e)) {
            return self.explain(nested);
        }
        let message = self.no_branch(error, node, context, &keys);
        self.add(path, node.place, message);
    }

    /// Every branch refused the value by its type or word.
    fn no_branch(
        &self,
        error: &ValidationError<'_>,
        node: &Node,
        context: &[Vec<ValidationError<'static>>],
        keys: &[String],
    ) -> String {
        let all = || context.iter().flatten();
        let words: Vec<String> = all().flat_map(words_of).collect();
        if !words.is_empty() {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let near = node.text().unwrap_or_default();
            return format!("unknown value {}{}", shown(node), hint(near, &words));
        }
        let kinds: Vec<&TypeKind> = all().filter_map(type_of).collect();
        let mut wanted: Vec<&str> = Vec::new();
        for (kind, name) in TYPE_NAMES {
            let fits = kinds.iter().any(|kinds| wants(kinds, kind));
            if fits && kind != JsonType::Null && !wanted.contains(&name) {
                wanted.push(name);
            }
        }
        let keyed = if keys.is_empty() {
            self.form(error.schema_path().as_str())
        } else {
            format!(" with one of: {}", keys.join(", "))
        };
        format!("expected {}{keyed}, found {}", wanted.join(" or "), shown(node))
    }

    /// ` {m: .., n: ..}`: the form of the only mapping among a choice's branches, where it is a small one.
    fn form(&self, pointer: &str) -> String {
        let branches = self.schema.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        let properties = |branch| self.resolve(branch).get("properties").and_then(Value::as_object);
        let mut mappings = branches.filter_map(properties);
        match (mappings.next(), mappings.next()) {
            (Some(keys), None) if keys.len() <= SMALL => {
                let keys: Vec<String> = keys.keys().map(|key| format!("{key}: ..")).collect();
                format!(" `{{{}}}`", keys.join(", "))
            }
            _ => String::new(),
        }
    }

    /// A mapping with one key that names its type.
    fn keyed_choice(
        &mut self,
        path: Vec<String>,
        node: &Node,
        context: &[Vec<ValidationError<'static>>],
        keys: &[String],
    ) {
        let valid: Vec<&str> = keys.iter().map(String::as_str).collect();
        match node.entries() {
            [(key, _)] if keys.contains(&key.text) => {
                let inside = |e: &&ValidationError<'static>| path_of(e).get(path.len()) == Some(&key.text);
                context.iter().flatten().filter(inside).for_each(|inner| self.explain(inner));
            }
            [(key, _)] => {
                let message = format!("unknown type `{}`{}", shorten(&key.text), hint(&key.text, &valid));
                self.add(path, key.place, message);
            }
            entries => {
                let place = entries.get(1).map_or(node.place, |(key, _)| key.place);
                let message = format!("expected exactly one of: {}", valid.join(", "));
                self.add(path, place, message);
            }
        }
    }

    /// The keys of a choice whose branches are mappings with one required key each; none for other choices.
    fn branch_keys(&self, pointer: &str) -> Vec<String> {
        let Some(branches) = self.schema.pointer(pointer).and_then(Value::as_array) else {
            return Vec::new();
        };
        let mut keys = Vec::new();
        for branch in branches.iter().map(|branch| self.resolve(branch)) {
            if branch.get("type").and_then(Value::as_str) == Some("null") {
                continue;
            }
            let one = branch.get("properties").and_then(Value::as_object).filter(|map| map.len() == 1);
            let closed = branch.get("additionalProperties") == Some(&Value::Bool(false));
            match one.and_then(|map| map.keys().next()) {
                Some(key) if closed && branch.get("required").is_some() => keys.push(key.clone()),
                _ => return Vec::new(),
            }
        }
        keys
    }

    fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
        target.and_then(|pointer| self.schema.pointer(pointer)).unwrap_or(schema)
    }

    fn say(&self, error: &ValidationError<'_>, kind: &ValidationErrorKind, node: &Node) -> String {
        match kind {
            ValidationErrorKind::Required { property } => {
                format!("missing key `{}`", property.as_str().unwrap_or_default())
            }
            ValidationErrorKind::Type { kind } => wrong_type(kind, node),
            ValidationErrorKind::Enum { .. } | ValidationErrorKind::Constant { .. } => {
                let words = words_of(error);
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                format!("unknown value {}{}", shown(node), hint(node.text().unwrap_or_default(), &words))
            }
            ValidationErrorKind::Format { format } if format == zone::ZONE_FORMAT => {
                let text = node.text().unwrap_or_default();
                format!("unknown time zone {}{}", shown(node), zone::hint(text))
            }
            ValidationErrorKind::Format { format } => format!("{} is no {format}", shown(node)),
            ValidationErrorKind::Pattern { .. } => self.pattern(error, node),
            ValidationErrorKind::Minimum { .. } | ValidationErrorKind::Maximum { .. }
                if error.instance_path().as_str() == "/version" =>
            {
                format!("version {} is not known: this Tidemark reads version 1", shown(node))
            }
            ValidationErrorKind::Minimum { limit } => {
                format!("{} is too small: at least {}", shown(node), plain(limit))
            }
            ValidationErrorKind::Maximum { limit } => {
                format!("{} is too large: at most {}", shown(node), plain(limit))
            }
            ValidationErrorKind::ExclusiveMinimum { limit } => {
                format!("{} is too small: it must be more than {}", shown(node), plain(limit))
            }
            ValidationErrorKind::ExclusiveMaximum { limit } => {
                format!("{} is too large: it must be less than {}", shown(node), plain(limit))
            }
            ValidationErrorKind::MinItems { limit } => format!("too few entries: at least {limit}"),
            ValidationErrorKind::MaxItems { limit } => format!("too many entries: at most {limit}"),
            ValidationErrorKind::MinLength { limit: 1 } => "must not be empty".to_owned(),
            ValidationErrorKind::MinLength { limit } => format!("too short: at least {limit} characters"),
            ValidationErrorKind::MaxLength { limit } => format!("too long: at most {limit} characters"),
            ValidationErrorKind::MinProperties { limit } => format!("too few keys: at least {limit}"),
            ValidationErrorKind::MaxProperties { limit } => format!("too many keys: at most {limit}"),
            ValidationErrorKind::UniqueItems => "an entry stands twice".to_owned(),
            _ => error.masked().to_string(),
        }
    }

    /// The schema's own description says what a text should look like.
    fn pattern(&self, error: &ValidationError<'_>, node: &Node) -> String {
        let parent = self.schema.pointer(parent_pointer(error.schema_path().as_str()));
        let description = parent.and_then(|parent| parent.get("description")).and_then(Value::as_str);
        let expected = description.map_or_else(
            || "another form".to_owned(),
            |text| {
                let text = text.trim_end_matches('.');
                let mut letters = text.chars();
                letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
            },
        );
        format!("{} does not fit: expected {expected}", shown(node))
    }
}

/// So many keys of a mapping are few enough to be named.
const SMALL: usize = 4;

const TYPE_NAMES: [(JsonType, &str); 7] = [
    (JsonType::String, "text"),
    (JsonType::Integer, "a whole number"),
    (JsonType::Number, "a number"),
    (JsonType::Boolean, "true or false"),
    (JsonType::Array, "a list"),
    (JsonType::Object, "a mapping"),
    (JsonType::Null, "nothing"),
];

fn wrong_type(kind: &TypeKind, node: &Node) -> String {
    let names =
        TYPE_NAMES.into_iter().filter(|(wanted, _)| *wanted != JsonType::Null && wants(kind, *wanted));
    let names: Vec<&str> = names.map(|(_, name)| name).collect();
    let expected = names.join(" or ");
    let found = shown(node);
    match &node.content {
        Content::Scalar(scalar) if scalar.value.is_null() => {
            format!("expected {expected}, found nothing: give a value or leave the key out")
        }
        Content::Scalar(scalar) if !scalar.plain && scalar.written.is_none() && fits(kind, &scalar.text) => {
            format!("expected {expected}, found text: write {found} without quotes")
        }
        _ => format!("expected {expected}, found {found}"),
    }
}

/// Whether a quoted text would be of the wanted type without its quotes.
fn fits(kind: &TypeKind, text: &str) -> bool {
    let value = scalar::resolve(text);
    let integer = value.is_i64() || value.is_u64();
    (integer && wants(kind, JsonType::Integer))
        || (value.is_number() && wants(kind, JsonType::Number))
        || (value.is_boolean() && wants(kind, JsonType::Boolean))
}

/// A node as a message quotes it: what stands in the file, never what a variable holds.
pub(crate) fn shown(node: &Node) -> String {
    match &node.content {
        Content::Scalar(scalar) => {
            format!("`{}`", shorten(scalar.written.as_deref().unwrap_or(&scalar.text)))
        }
        Content::List(_) => "a list".to_owned(),
        Content::Map(_) => "a mapping".to_owned(),
    }
}

/// A limit as people write it: `0`, not `0.0`.
fn plain(limit: &Value) -> String {
    limit.as_f64().map_or_else(|| limit.to_string(), |number| number.to_string())
}

fn is_choice(error: &ValidationError<'_>) -> bool {
    matches!(error.kind(), ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. })
}

fn type_of<'e>(error: &'e ValidationError<'_>) -> Option<&'e TypeKind> {
    match error.kind() {
        ValidationErrorKind::Type { kind } => Some(kind),
        _ => None,
    }
}

/// The words an error would have taken.
fn words_of(error: &ValidationError<'_>) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match error.kind() {
        ValidationErrorKind::Constant { expected_value } => vec![text(expected_value)],
        ValidationErrorKind::Enum { options } => {
            options.as_array().map_or_else(Vec::new, |all| all.iter().map(text).collect())
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            context.iter().flatten().flat_map(words_of).collect()
        }
        _ => Vec::new(),
    }
}

fn parent_pointer(pointer: &str) -> &str {
    pointer.rsplit_once('/').map_or("", |(parent, _)| parent)
}
