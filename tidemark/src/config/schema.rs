//! The JSON schema of the configuration, generated from the types, and the check of a tree against it.
//!
//! Every violation is found. Where a plain scalar is of another type than the schema wants but its text would do
//! (`title: 2024`, `port: "${PORT}"`), the text is taken.

use std::sync::OnceLock;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError, Validator};
use serde_json::Value;

use super::explain::{Explainer, Issue, path_of};
use super::file::ConfigFile;
use super::finding::{Finding, Place};
use super::scalar;
use super::tree::{Content, Node};
use super::zone::{ZONE_FORMAT, is_zone};

/// The JSON schema of the configuration.
pub(crate) fn schema() -> Value {
    schemars::schema_for!(ConfigFile).to_value()
}

struct Compiled {
    schema: Value,
    validator: Validator,
}

fn compiled() -> Result<&'static Compiled, &'static str> {
    static COMPILED: OnceLock<Result<Compiled, String>> = OnceLock::new();
    let compile = || {
        let schema = schema();
        let options = jsonschema::options().should_validate_formats(true).with_format(ZONE_FORMAT, is_zone);
        let validator = options.build(&schema).map_err(|error| error.to_string())?;
        Ok(Compiled { schema, validator })
    };
    COMPILED.get_or_init(compile).as_ref().map_err(String::as_str)
}

/// Checks a tree, taking texts for other types where they do.
pub(crate) fn check(root: &mut Node) -> Vec<Issue> {
    let compiled = match compiled() {
        Ok(compiled) => compiled,
        Err(message) => {
            let finding = Finding::error(Place::START, format!("cannot build the schema: {message}"));
            return vec![Issue { path: Vec::new(), finding }];
        }
    };
    let value = root.to_value();
    let mut swaps = Vec::new();
    compiled.validator.iter_errors(&value).for_each(|error| find_swaps(&error, root, &mut swaps));
    if swaps.is_empty() {
        return issues(compiled, root, &value);
    }
    for (path, value) in swaps {
        if let Some(Content::Scalar(scalar)) = root.at_mut(&path).map(|node| &mut node.content) {
            scalar.value = value;
        }
    }
    let value = root.to_value();
    issues(compiled, root, &value)
}

fn issues(compiled: &Compiled, root: &Node, value: &Value) -> Vec<Issue> {
    let mut explainer = Explainer::new(&compiled.schema, root);
    compiled.validator.iter_errors(value).for_each(|error| explainer.explain(&error));
    explainer.finish()
}

/// Scalars whose text would be of the wanted type.
fn find_swaps(error: &ValidationError<'_>, root: &Node, swaps: &mut Vec<(Vec<String>, Value)>) {
    match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            context.iter().flatten().for_each(|inner| find_swaps(inner, root, swaps));
        }
        ValidationErrorKind::Type { kind } => {
            let path = path_of(error);
            let Some(Content::Scalar(scalar)) = root.at(&path).map(|node| &node.content) else { return };
            let expanded = scalar.written.is_some();
            if wants(kind, JsonType::String) && scalar.plain && !scalar.value.is_null() {
                swaps.push((path, Value::String(scalar.text.clone())));
            } else if expanded && scalar.value.is_string() {
                let other = scalar::resolve(&scalar.text);
                let fits = (other.is_number() && wants(kind, JsonType::Number))
                    || (other.is_i64() && wants(kind, JsonType::Integer))
                    || (other.is_boolean() && wants(kind, JsonType::Boolean));
                swaps.extend(fits.then_some((path, other)));
            }
        }
        _ => {}
    }
}

/// Whether a type is among the wanted ones.
pub(crate) fn wants(kind: &TypeKind, wanted: JsonType) -> bool {
    match kind {
        TypeKind::Single(one) => *one == wanted,
        TypeKind::Multiple(several) => several.iter().any(|one| one == wanted),
    }
}
