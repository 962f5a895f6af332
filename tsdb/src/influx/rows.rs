//! Answers to InfluxQL, read line by line as they come.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use model::Labels;
use reqwest::Response;
use serde::Deserialize;
use serde_json::Value;

use super::line::restored;
use super::trouble::Trouble;

/// One chunk of an answer is no larger.
const MAX_CHUNK_BYTES: usize = 64 << 20;

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    results: Vec<Outcome>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    statement_id: usize,
    #[serde(default)]
    series: Vec<Part>,
    error: Option<String>,
}

/// Rows of one series, or some of them.
#[derive(Deserialize)]
pub(super) struct Part {
    #[serde(default)]
    tags: BTreeMap<String, String>,
    pub(super) columns: Vec<String>,
    #[serde(default)]
    pub(super) values: Vec<Vec<Value>>,
}

impl Part {
    /// Its tags as they were written.
    pub(super) fn labels(&self) -> Labels {
        Labels::new(
            self.tags.iter().map(|(name, value)| (restored(name).into_owned(), restored(value).into_owned())),
        )
    }
}

/// Hands every part to `take` with the number of its statement. An answer that ends early is an error.
pub(super) async fn each(
    response: Response,
    mut take: impl FnMut(usize, Part) -> Result<(), String>,
) -> Result<(), Trouble> {
    let mut bytes = response.bytes_stream();
    let mut line = Vec::new();
    while let Some(more) = bytes.next().await {
        let more = more.map_err(|error| Trouble::transient(model::causes(&error)))?;
        for piece in more.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(piece);
            if line.len() > MAX_CHUNK_BYTES {
                return Err(Trouble::Refused("a part of the answer is too large".into()));
            }
            if line.ends_with(b"\n") {
                parse(&line, &mut take)?;
                line.clear();
            }
        }
    }
    parse(&line, &mut take)
}

fn parse(line: &[u8], take: &mut impl FnMut(usize, Part) -> Result<(), String>) -> Result<(), Trouble> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let unreadable = |error| Trouble::transient(format!("answer cannot be read: {error}"));
    let chunk: Chunk = serde_json::from_slice(line).map_err(unreadable)?;
    if let Some(error) = chunk.error {
        return Err(Trouble::Refused(error));
    }
    for outcome in chunk.results {
        if let Some(error) = outcome.error {
            return Err(Trouble::Refused(error));
        }
        for part in outcome.series {
            take(outcome.statement_id, part).map_err(Trouble::Refused)?;
        }
    }
    Ok(())
}

/// The texts of the first column of every part.
pub(super) async fn first_column(response: Response) -> Result<Vec<String>, Trouble> {
    let mut found = Vec::new();
    let take = |_, part: Part| {
        found.extend(part.values.iter().filter_map(|row| row.first()?.as_str().map(str::to_owned)));
        Ok(())
    };
    each(response, take).await?;
    Ok(found)
}
