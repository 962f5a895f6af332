//! Rows become samples: the one mapper for every source.
//!
//! Strict: what is no number, not finite, or stands twice for one series is an error that names its place, and the whole
//! tick is missed rather than half believed.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Labels, Ratio, Sample, SeriesKey};

use crate::text::shown;
use crate::{Cell, Rows, SamplerSpec, SourceError, ValueSpec};

/// Longer label values are an error: they are text, not a dimension.
const MAX_LABEL_CHARS: usize = 1024;
/// Whole numbers beyond this are not all representable in a float.
const EXACT: u64 = 1 << 53;

/// What was made of rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapped {
    /// The numbers.
    pub samples: Vec<Sample>,
    /// How many numbers were missing: NULL, or a rate with the denominator 0.
    pub missing: usize,
    /// How many whole numbers beyond 2^53 were rounded to the nearest float.
    pub rounded: usize,
}

/// Makes samples of rows by the sampler's label and value columns. No rows make no samples.
///
/// # Errors
/// [`SourceError`] with the reason `invalid`, naming sampler, column, row (from 1) and text.
pub fn map_rows(spec: &SamplerSpec, rows: &Rows) -> Result<Mapped, SourceError> {
    map(spec, rows).map_err(|what| SourceError::invalid(format!("sampler `{}`: {what}", spec.name)))
}

fn map(spec: &SamplerSpec, rows: &Rows) -> Result<Mapped, String> {
    let mut mapped = Mapped::default();
    if rows.columns.is_empty() && rows.rows.is_empty() {
        return Ok(mapped);
    }
    if rows.rows.len() > spec.max_rows {
        return Err(format!("more than {} rows: aggregate in the query or raise max_rows", spec.max_rows));
    }
    let layout = Layout::find(spec, &rows.columns)?;
    let fixed = Labels::new(spec.static_labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let mut seen: HashMap<Labels, usize> = HashMap::with_capacity(rows.rows.len());
    for (index, cells) in rows.rows.iter().enumerate() {
        let row = Row { number: index + 1, cells, columns: &rows.columns };
        let labels = row.labels(&layout, &fixed)?;
        if let Some(first) = seen.insert(labels.clone(), row.number) {
            let series = SeriesKey::new(Arc::clone(&spec.name), labels);
            return Err(format!("rows {first} and {} are both the series {series}", row.number));
        }
        for value in &layout.values {
            row.take(value, &labels, &mut mapped)?;
        }
    }
    Ok(mapped)
}

/// Which column is what, by index.
struct Layout {
    labels: Vec<(Arc<str>, usize)>,
    values: Vec<ValueColumns>,
}

struct ValueColumns {
    metric: Arc<str>,
    source: ValueSource,
}

enum ValueSource {
    Value(usize),
    Ratio { numerator: usize, denominator: usize },
}

impl Layout {
    fn find(spec: &SamplerSpec, columns: &[String]) -> Result<Self, String> {
        let labels = spec
            .labels
            .iter()
            .map(|name| Ok((Arc::from(name.as_str()), column("label", name, columns)?)))
            .collect::<Result<Vec<_>, String>>()?;
        let values = spec
            .values
            .iter()
            .map(|value| {
                let source = value_source(spec, value, columns, &labels)?;
                Ok(ValueColumns { metric: Arc::clone(&value.metric), source })
            })
            .collect::<Result<Vec<_>, String>>()?;
        Ok(Self { labels, values })
    }
}

fn value_source(
    spec: &SamplerSpec,
    value: &ValueSpec,
    columns: &[String],
    labels: &[(Arc<str>, usize)],
) -> Result<ValueSource, String> {
    if let (Some(numerator), Some(denominator)) = (&value.numerator, &value.denominator) {
        let numerator = column("numerator", numerator, columns)?;
        let denominator = column("denominator", denominator, columns)?;
        return Ok(ValueSource::Ratio { numerator, denominator });
    }
    if let Some(name) = &value.column {
        return column("value", name, columns).map(ValueSource::Value);
    }
    let free: Vec<usize> =
        (0..columns.len()).filter(|at| labels.iter().all(|(_, label)| label != at)).collect();
    match free[..] {
        [only] => Ok(ValueSource::Value(only)),
        [] => Err(format!("no column is left for the value of `{}`: {}", spec.name, there_are(columns))),
        _ => {
            let names: Vec<&str> = free.iter().map(|at| columns[*at].as_str()).collect();
            Err(format!(
                "the columns {} could each be the value: list them under `values` or `labels`",
                names.iter().map(|n| format!("`{}`", shown(n, 60))).collect::<Vec<_>>().join(", ")
            ))
        }
    }
}

/// Finds a column by name; when no name is equal, by the only one that differs in case alone.
fn column(what: &str, name: &str, columns: &[String]) -> Result<usize, String> {
    if let Some(at) = columns.iter().position(|have| have == name) {
        return Ok(at);
    }
    let mut alike = (0..columns.len()).filter(|at| columns[*at].eq_ignore_ascii_case(name));
    match (alike.next(), alike.next()) {
        (Some(at), None) => Ok(at),
        _ => Err(format!("{what} column `{name}` is not in the answer: {}", there_are(columns))),
    }
}

fn there_are(columns: &[String]) -> String {
    let names: Vec<String> = columns.iter().take(20).map(|name| format!("`{}`", shown(name, 60))).collect();
    match (names.len(), columns.len()) {
        (0, _) => "it has no columns".to_owned(),
        (some, all) if some < all => format!("its {all} columns are {}, ..", names.join(", ")),
        _ => format!("its columns are {}", names.join(", ")),
    }
}

struct Row<'a> {
    number: usize,
    cells: &'a [Cell],
    columns: &'a [String],
}

impl Row<'_> {
    fn labels(&self, layout: &Layout, fixed: &Labels) -> Result<Labels, String> {
        let pairs = layout
            .labels
            .iter()
            .map(|(name, at)| Ok((Arc::clone(name), self.label(*at)?)))
            .collect::<Result<Vec<_>, String>>()?;
        Ok(fixed.with(pairs.into_iter().filter(|(_, value)| !value.is_empty())))
    }

    /// The cell as a label's value; empty when the label is absent.
    fn label(&self, at: usize) -> Result<String, String> {
        let text = match self.cell(at) {
            Cell::Null => String::new(),
            Cell::Int(value) => value.to_string(),
            Cell::UInt(value) => value.to_string(),
            Cell::Float(value) => value.to_string(),
            Cell::Bool(value) => value.to_string(),
            Cell::Text(text) => text.clone(),
        };
        let chars = text.chars().count();
        if chars > MAX_LABEL_CHARS {
            let what =
                format!("a label of {chars} characters, more than {MAX_LABEL_CHARS}: `{}`", shown(&text, 40));
            return Err(self.at(at, what));
        }
        Ok(text)
    }

    fn take(&self, value: &ValueColumns, labels: &Labels, mapped: &mut Mapped) -> Result<(), String> {
        let found = match value.source {
            ValueSource::Value(at) => self.number(at, mapped)?.map(|number| (number, None)),
            ValueSource::Ratio { numerator, denominator } => self.ratio(numerator, denominator, mapped)?,
        };
        match found {
            Some((number, ratio)) => {
                let series = SeriesKey::new(Arc::clone(&value.metric), labels.clone());
                mapped.samples.push(Sample { series, value: number, ratio, revision: 0 });
            }
            None => mapped.missing += 1,
        }
        Ok(())
    }

    fn ratio(
        &self,
        numerator_at: usize,
        denominator_at: usize,
        mapped: &mut Mapped,
    ) -> Result<Option<(f64, Option<Ratio>)>, String> {
        let numerator = self.number(numerator_at, mapped)?;
        let denominator = self.number(denominator_at, mapped)?;
        let (Some(numerator), Some(denominator)) = (numerator, denominator) else { return Ok(None) };
        if denominator == 0.0 {
            return Ok(None);
        }
        let share = numerator / denominator;
        if !share.is_finite() {
            return Err(self.at(denominator_at, format!("{numerator} / {denominator} is too large")));
        }
        Ok(Some((share, Some(Ratio { numerator, denominator }))))
    }

    /// The cell as a finite number; `None` when it is NULL.
    fn number(&self, at: usize, mapped: &mut Mapped) -> Result<Option<f64>, String> {
        let number = match self.cell(at) {
            Cell::Null => return Ok(None),
            Cell::Int(value) => {
                mapped.rounded += usize::from(value.unsigned_abs() > EXACT);
                *value as f64
            }
            Cell::UInt(value) => {
                mapped.rounded += usize::from(*value > EXACT);
                *value as f64
            }
            Cell::Float(value) => *value,
            Cell::Bool(value) => f64::from(u8::from(*value)),
            Cell::Text(text) => text
                .trim()
                .parse()
                .map_err(|_| self.at(at, format!("`{}` is not a number", shown(text, 60))))?,
        };
        if number.is_finite() {
            return Ok(Some(number));
        }
        Err(self.at(at, format!("{number} is not a finite number")))
    }

    fn cell(&self, at: usize) -> &Cell {
        self.cells.get(at).unwrap_or(&Cell::Null)
    }

    fn at(&self, column: usize, what: impl std::fmt::Display) -> String {
        let name = self.columns.get(column).map_or("", String::as_str);
        format!("column `{}`, row {}: {what}", shown(name, 60), self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{spec, value};

    fn rows(columns: &[&str], rows: Vec<Vec<Cell>>) -> Rows {
        Rows { columns: columns.iter().map(|name| (*name).to_owned()).collect(), rows }
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    fn check(spec: &SamplerSpec, rows: &Rows) -> String {
        match map_rows(spec, rows) {
            Err(error) => format!("{:?}: {error}", error.reason),
            Ok(mapped) => {
                let samples: Vec<String> = mapped
                    .samples
                    .iter()
                    .map(|sample| format!("{} = {}", sample.series, sample.value))
                    .collect();
                format!("{} (missing {}, rounded {})", samples.join("; "), mapped.missing, mapped.rounded)
            }
        }
    }

    #[test]
    fn rows_become_samples_by_their_columns() {
        let mut sales = spec("sales");
        sales.labels = vec!["channel".into(), "shop".into()];
        sales.static_labels = vec![("region".into(), "east".into())];
        sales.values = vec![value("sales.orders", "orders"), value("sales.amount", "AMOUNT")];
        let answer = rows(
            &["channel", "shop", "orders", "amount"],
            vec![
                vec![text("app"), Cell::Int(7), Cell::Int(3), text(" 12.50 ")],
                vec![text("web"), Cell::Null, Cell::Null, Cell::Float(1.5)],
                vec![text(""), Cell::Bool(true), Cell::UInt(u64::MAX), Cell::Bool(true)],
            ],
        );
        insta::assert_snapshot!(check(&sales, &answer), @r#"sales.orders{channel="app",region="east",shop="7"} = 3; sales.amount{channel="app",region="east",shop="7"} = 12.5; sales.amount{channel="web",region="east"} = 1.5; sales.orders{region="east",shop="true"} = 18446744073709552000; sales.amount{region="east",shop="true"} = 1 (missing 1, rounded 1)"#);
    }

    #[test]
    fn one_free_column_needs_no_name() {
        assert_eq!(
            check(&spec("orders"), &rows(&["n"], vec![vec![Cell::Int(4)]])),
            "orders = 4 (missing 0, rounded 0)"
        );
        assert_eq!(check(&spec("orders"), &Rows::default()), " (missing 0, rounded 0)");
    }

    #[test]
    fn a_rate_keeps_its_parts_and_has_no_value_at_denominator_zero() {
        let mut rate = spec("pass_rate");
        rate.labels = vec!["channel".into()];
        rate.values = vec![ValueSpec {
            metric: "pass_rate".into(),
            column: None,
            numerator: Some("passed".into()),
            denominator: Some("total".into()),
        }];
        let row = |channel: &str, passed: Cell, total: Cell| vec![text(channel), passed, total];
        let answer = rows(
            &["channel", "passed", "total"],
            vec![
                row("app", Cell::Int(1), Cell::Int(4)),
                row("web", Cell::Int(0), Cell::Int(0)),
                row("shop", Cell::Null, Cell::Int(3)),
            ],
        );
        let mapped = map_rows(&rate, &answer).unwrap();
        assert_eq!((mapped.samples.len(), mapped.missing), (1, 2));
        assert_eq!(mapped.samples[0].value, 0.25);
        assert_eq!(mapped.samples[0].ratio, Some(Ratio { numerator: 1.0, denominator: 4.0 }));
    }

    #[test]
    fn rubbish_is_refused_with_its_place() {
        let mut orders = spec("orders");
        orders.labels = vec!["channel".into()];
        orders.max_rows = 2;
        let one = |cell: Cell| rows(&["channel", "n"], vec![vec![text("app"), cell]]);
        let two = vec![vec![text("app"), Cell::Int(1)], vec![text("app"), Cell::Null]];
        let three =
            vec![vec![text("a"), Cell::Null], vec![text("b"), Cell::Null], vec![text("c"), Cell::Null]];
        let mut named = orders.clone();
        named.values = vec![value("orders", "count")];
        let shown = [
            check(&orders, &one(text("twelve\nand more"))),
            check(&orders, &one(text(""))),
            check(&orders, &one(Cell::Float(f64::NAN))),
            check(&orders, &one(text("-inf"))),
            check(&orders, &rows(&["channel", "n"], two)),
            check(&orders, &rows(&["channel", "n"], three)),
            check(&orders, &rows(&["n"], vec![vec![Cell::Int(1)]])),
            check(&orders, &rows(&["channel", "n", "m"], vec![])),
            check(&orders, &rows(&["channel"], vec![])),
            check(&named, &one(Cell::Int(1))),
            check(&orders, &rows(&["channel", "n"], vec![vec![text(&"x".repeat(2000)), Cell::Int(1)]])),
        ];
        insta::assert_snapshot!(shown.join("\n"), @r#"
        Invalid: sampler `orders`: column `n`, row 1: `twelve and more` is not a number
        Invalid: sampler `orders`: column `n`, row 1: `` is not a number
        Invalid: sampler `orders`: column `n`, row 1: NaN is not a finite number
        Invalid: sampler `orders`: column `n`, row 1: -inf is not a finite number
        Invalid: sampler `orders`: rows 1 and 2 are both the series orders{channel="app"}
        Invalid: sampler `orders`: more than 2 rows: aggregate in the query or raise max_rows
        Invalid: sampler `orders`: label column `channel` is not in the answer: its columns are `n`
        Invalid: sampler `orders`: the columns `n`, `m` could each be the value: list them under `values` or `labels`
        Invalid: sampler `orders`: no column is left for the value of `orders`: its columns are `channel`
        Invalid: sampler `orders`: value column `count` is not in the answer: its columns are `channel`, `n`
        Invalid: sampler `orders`: column `channel`, row 1: a label of 2000 characters, more than 1024: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…`
        "#);
    }
}
