//! From text to tree.
//!
//! Bounded: nesting, and the number of nodes with aliases expanded. Broken syntax ends the reading at its place, since
//! nothing after it can be trusted; duplicate keys are all found.

use std::collections::HashMap;

use serde_json::Value;
use serde_saphyr::granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span, Tag};

use super::finding::{Finding, Place};
use super::tree::{Content, Key, Node, Scalar, shorten};
use super::{quote, scalar};

/// Most levels of nesting.
const MAX_DEPTH: usize = 64;
/// Most nodes, aliases expanded: an alias bomb ends here.
const MAX_NODES: usize = 500_000;

/// What reading a text gave: a tree unless the syntax is broken, and what was found on the way.
pub(crate) fn parse(text: &str) -> (Option<Node>, Vec<Finding>) {
    let mut options = Options::default();
    options.emit_comments = false;
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let mut composer = Composer {
        parser: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        nodes: 0,
        text,
        read_until: 0,
        findings: Vec::new(),
    };
    match composer.document() {
        Ok(node) => (Some(node), composer.findings),
        Err(finding) => {
            composer.findings.push(indented_by_tab(text, &finding).unwrap_or(finding));
            (None, composer.findings)
        }
    }
}

/// Broken syntax is often a tab in the indentation of the same or the next line.
fn indented_by_tab(text: &str, finding: &Finding) -> Option<Finding> {
    let from = finding.place.line - 1;
    let tab = |line: &str| line.find(|c: char| c != ' ').filter(|at| line[*at..].starts_with('\t'));
    let (line, column) =
        text.lines().enumerate().skip(from).take(2).find_map(|(i, line)| Some((i + 1, tab(line)? + 1)))?;
    finding
        .message
        .contains("tab")
        .then(|| Finding::error(Place { line, column }, "a tab stands in the indentation: YAML wants spaces"))
}

struct Anchor {
    node: Node,
    size: usize,
    height: usize,
}

/// A node with how many nodes it holds and how deep it is.
struct Composed {
    node: Node,
    size: usize,
    height: usize,
}

struct Composer<'t, P: Iterator<Item = Result<(Event<'t>, Span), ScanError>>> {
    parser: P,
    anchors: HashMap<usize, Anchor>,
    nodes: usize,
    text: &'t str,
    /// Bytes of the text that were read without complaint.
    read_until: usize,
    findings: Vec<Finding>,
}

impl<'t, P: Iterator<Item = Result<(Event<'t>, Span), ScanError>>> Composer<'t, P> {
    fn document(&mut self) -> Result<Node, Finding> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_none() => {}
                Event::DocumentStart(..) => {
                    let message = "a second document begins here: a configuration is one document";
                    return Err(Finding::error(place(&span), message));
                }
                Event::StreamEnd => break,
                event => root = Some(self.node(event, &span, 0)?.node),
            }
        }
        let empty = || Finding::error(Place::START, "file is empty: `tidemark init` writes one that runs");
        let root = root.ok_or_else(empty)?;
        if root.is_null() {
            return Err(empty());
        }
        Ok(root)
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Finding> {
        match self.parser.next() {
            Some(Ok((event, span))) => {
                self.read_until = span.byte_range().map_or(self.read_until, |range| range.end);
                Ok((event, span))
            }
            Some(Err(error)) => Err(self.missing_quote(&error).unwrap_or_else(|| syntax(&error))),
            None => Err(Finding::error(Place::START, "file ends in the middle of a value")),
        }
    }

    /// Blames the quote that is not closed where it should be, which is where the mistake is.
    fn missing_quote(&self, error: &ScanError) -> Option<Finding> {
        let at = error.marker().byte_offset()?;
        let open = quote::to_blame(self.text, self.read_until, at)?;
        let before = self.text.get(..open)?;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let place = Place {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        };
        let message = format!(
            "the closing quote is missing: the text that begins here runs to line {}, where YAML breaks ({})",
            error.marker().line(),
            error.info()
        );
        Some(Finding::error(place, message))
    }

    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Result<Composed, Finding> {
        self.count(1, depth, span)?;
        let (composed, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (
                Composed { node: scalar_node(&text, style, tag.as_deref(), span)?, size: 1, height: 1 },
                anchor,
            ),
            Event::SequenceStart(_, anchor, tag) => {
                known_tag(tag.as_deref(), "seq", span)?;
                (self.list(span, depth)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                known_tag(tag.as_deref(), "map", span)?;
                (self.map(span, depth)?, anchor)
            }
            Event::Alias(id) => (self.alias(id, span, depth)?, 0),
            _ => return Err(Finding::error(place(span), "a value is missing here")),
        };
        if anchor != 0 {
            let Composed { node, size, height } = &composed;
            self.anchors.insert(anchor, Anchor { node: node.clone(), size: *size, height: *height });
        }
        Ok(composed)
    }

    fn list(&mut self, span: &Span, depth: usize) -> Result<Composed, Finding> {
        let (mut items, mut size, mut height) = (Vec::new(), 1, 1);
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            let item = self.node(event, &at, depth + 1)?;
            size += item.size;
            height = height.max(item.height + 1);
            items.push(item.node);
        }
        Ok(Composed { node: Node { place: place(span), content: Content::List(items) }, size, height })
    }

    fn map(&mut self, span: &Span, depth: usize) -> Result<Composed, Finding> {
        let (mut map, mut size, mut height) = (MapBuilder::default(), 1, 1);
        loop {
            let (event, at) = self.next()?;
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => Key { text: text.into_owned(), place: place(&at) },
                _ => return Err(Finding::error(place(&at), "a key must be plain text")),
            };
            let (event, at) = self.next()?;
            let value = self.node(event, &at, depth + 1)?;
            size += value.size;
            height = height.max(value.height + 1);
            self.findings.extend(map.add(key, value.node));
        }
        let content = Content::Map(map.finish());
        Ok(Composed { node: Node { place: place(span), content }, size, height })
    }

    fn alias(&mut self, id: usize, span: &Span, depth: usize) -> Result<Composed, Finding> {
        let unknown = || Finding::error(place(span), "alias of an anchor that is not complete here");
        let (size, height) = self.anchors.get(&id).map(|a| (a.size, a.height)).ok_or_else(unknown)?;
        self.count(size, depth + height, span)?;
        let mut node = self.anchors.get(&id).map(|a| a.node.clone()).ok_or_else(unknown)?;
        node.place = place(span);
        Ok(Composed { node, size, height })
    }

    fn count(&mut self, more: usize, depth: usize, span: &Span) -> Result<(), Finding> {
        self.nodes += more;
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values, aliases counted as often as they are used");
            return Err(Finding::error(place(span), message));
        }
        if depth > MAX_DEPTH {
            return Err(Finding::error(place(span), format!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(())
    }
}

/// Collects a mapping's entries; `<<` merges, and what the mapping says itself wins.
#[derive(Default)]
struct MapBuilder {
    entries: Vec<(Key, Node)>,
    index: HashMap<String, usize>,
    merged: Vec<(Key, Node)>,
}

impl MapBuilder {
    fn add(&mut self, key: Key, node: Node) -> Option<Finding> {
        if key.text == "<<" {
            return self.merge(node);
        }
        if let Some(first) = self.index.get(&key.text) {
            let line = self.entries[*first].0.place.line;
            let message = format!("duplicate key `{}`: it stands on line {line} already", shorten(&key.text));
            return Some(Finding::error(key.place, message));
        }
        self.index.insert(key.text.clone(), self.entries.len());
        self.entries.push((key, node));
        None
    }

    fn merge(&mut self, node: Node) -> Option<Finding> {
        let place = node.place;
        match node.content {
            Content::Map(entries) => {
                self.merged.extend(entries);
                None
            }
            Content::List(items) => items.into_iter().find_map(|item| self.merge(item)),
            Content::Scalar(_) => {
                Some(Finding::error(place, "`<<` merges mappings: give it an alias of one"))
            }
        }
    }

    fn finish(mut self) -> Vec<(Key, Node)> {
        for (key, node) in std::mem::take(&mut self.merged) {
            if !self.index.contains_key(&key.text) {
                self.index.insert(key.text.clone(), self.entries.len());
                self.entries.push((key, node));
            }
        }
        self.entries
    }
}

fn scalar_node(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: &Span) -> Result<Node, Finding> {
    let plain = style == ScalarStyle::Plain;
    let value = match tag.map(|tag| known_scalar_tag(tag, span)).transpose()? {
        None if plain => scalar::resolve(text),
        None | Some("str") => Value::String(text.to_owned()),
        Some(_) => scalar::resolve(text),
    };
    let range = span.byte_range().unwrap_or_default();
    let scalar = Scalar {
        text: text.to_owned(),
        value,
        plain,
        written: None,
        bytes: (range.start, range.end),
        unset: None,
    };
    Ok(Node { place: place(span), content: Content::Scalar(scalar) })
}

fn known_scalar_tag<'a>(tag: &'a Tag, span: &Span) -> Result<&'a str, Finding> {
    ["str", "int", "float", "bool", "null"]
        .into_iter()
        .find(|name| tag.handle() == "tag:yaml.org,2002:" && tag.suffix() == *name)
        .or((tag.handle().is_empty() && tag.suffix() == "!").then_some("str"))
        .ok_or_else(|| unknown_tag(tag, span))
}

fn known_tag(tag: Option<&Tag>, name: &str, span: &Span) -> Result<(), Finding> {
    match tag {
        Some(tag) if tag.handle() != "tag:yaml.org,2002:" || tag.suffix() != name => {
            Err(unknown_tag(tag, span))
        }
        _ => Ok(()),
    }
}

fn unknown_tag(tag: &Tag, span: &Span) -> Finding {
    let name = format!("{}{}", tag.handle(), tag.suffix());
    Finding::error(place(span), format!("unknown tag `{}`: leave it out", shorten(&name)))
}

fn place(span: &Span) -> Place {
    Place { line: span.start.line().max(1), column: span.start.col() + 1 }
}

fn syntax(error: &ScanError) -> Finding {
    let place = Place { line: error.marker().line().max(1), column: error.marker().col() + 1 };
    let message = match error.kind() {
        ErrorKind::TabInBlockIndentation | ErrorKind::TabNotAllowed => {
            "a tab stands in the indentation: YAML wants spaces".to_owned()
        }
        ErrorKind::UnknownAnchor => {
            "alias of an anchor that does not exist above: a value that begins with `*` needs quotes"
                .to_owned()
        }
        ErrorKind::MappingValueNotAllowed => {
            format!("broken YAML: {}: a value with `: ` in it needs quotes", error.info())
        }
        _ => format!("broken YAML: {}", error.info()),
    };
    Finding::error(place, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> (Value, Vec<String>) {
        let (node, findings) = parse(text);
        let shown = |f: Finding| format!("{}:{}: {}", f.place.line, f.place.column, f.message);
        (node.map_or(Value::Null, |node| node.to_value()), findings.into_iter().map(shown).collect())
    }

    #[test]
    fn keys_and_values_know_their_places() {
        let (node, _) = parse("a: 1\nb:\n  - c: x\n    d: 'y'\n");
        let node = node.unwrap();
        assert_eq!(node.at(&["b", "0", "d"]).unwrap().place, Place { line: 4, column: 8 });
        assert_eq!(node.at(&["b", "0"]).unwrap().entry("d").unwrap().0.place, Place { line: 4, column: 5 });
        assert_eq!(node.nearest_place(&["b", "7", "x"]), Place { line: 3, column: 3 });
    }

    #[test]
    fn aliases_and_merge_keys_expand() {
        let (value, findings) = read("base: &b {x: 1, y: 2}\none: {<<: *b, y: 3}\ntwo: *b\n");
        assert_eq!(findings, Vec::<String>::new());
        assert_eq!(value["one"], json!({"y": 3, "x": 1}));
        assert_eq!(value["two"], json!({"x": 1, "y": 2}));
    }

    #[test]
    fn every_duplicate_key_is_found() {
        let (value, findings) = read("a: 1\nb: 2\na: 3\nb: 4\n");
        assert_eq!(value, json!({"a": 1, "b": 2}));
        insta::assert_debug_snapshot!(findings, @r#"
        [
            "3:1: duplicate key `a`: it stands on line 1 already",
            "4:1: duplicate key `b`: it stands on line 2 already",
        ]
        "#);
    }

    #[test]
    fn an_alias_bomb_ends_at_its_place() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        let (_, findings) = read(&text);
        insta::assert_debug_snapshot!(findings, @r#"
        [
            "6:25: more than 500000 values, aliases counted as often as they are used",
        ]
        "#);
    }

    #[test]
    fn nesting_is_bounded() {
        for text in ["[".repeat(10_000), "- ".repeat(10_000), "{a: ".repeat(10_000)] {
            let (value, findings) = read(&text);
            assert_eq!((value, findings.len()), (Value::Null, 1));
        }
    }
}
