//! What an InfluxDB of either version holds, by its own `/query`.

use std::collections::BTreeMap;

use components::Component;
use serde_json::Value;

/// A point: measurement, tags, time in nanoseconds.
pub type Place = (String, BTreeMap<String, String>, i64);

/// Its fields; a number is an `f64` whatever its type is there.
pub type Fields = BTreeMap<String, String>;

/// Everything of these measurements in the database `tidemark`; `None` while it is not there.
pub fn points(server: &Component, measurements: &[&str]) -> Option<BTreeMap<Place, Fields>> {
    let select = |name: &&str| format!("SELECT * FROM {name} GROUP BY *");
    let statements: Vec<String> = measurements.iter().map(select).collect();
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("db", "tidemark").append_pair("epoch", "ns").append_pair("q", &statements.join("; "));
    let path = format!("/query?{}", query.finish());
    let authorization = authorization(server);
    let (status, body) =
        super::http("GET", &server.address(), &path, &[("authorization", &authorization)], "")?;
    let answer: Value = serde_json::from_str(&body).ok()?;
    if status != 200 {
        return None;
    }
    let mut points = BTreeMap::new();
    for result in answer["results"].as_array()? {
        if !result["error"].is_null() {
            return None;
        }
        for series in result["series"].as_array().into_iter().flatten() {
            add(series, &mut points);
        }
    }
    Some(points)
}

fn authorization(server: &Component) -> String {
    use base64::Engine as _;
    if server.has_detail("token") {
        return format!("Token {}", server.detail("token"));
    }
    let who = format!("{}:{}", server.detail("username"), server.detail("password"));
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(who))
}

fn add(series: &Value, points: &mut BTreeMap<Place, Fields>) {
    let name = series["name"].as_str().unwrap().to_owned();
    let tags: BTreeMap<String, String> =
        series["tags"].as_object().into_iter().flatten().filter_map(tag).collect();
    let columns: Vec<&str> = series["columns"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for row in series["values"].as_array().into_iter().flatten() {
        let row = row.as_array().unwrap();
        let fields = columns.iter().zip(row).skip(1).filter(|(_, value)| !value.is_null());
        let fields = fields.map(|(column, value)| ((*column).to_owned(), shown(value))).collect();
        let before = points.insert((name.clone(), tags.clone(), row[0].as_i64().unwrap()), fields);
        assert!(before.is_none(), "twice in {name}: {tags:?} at {}", row[0]);
    }
}

/// A tag that a series does not have is told as empty text.
fn tag((key, value): (&String, &Value)) -> Option<(String, String)> {
    let value = value.as_str().filter(|value| !value.is_empty())?;
    Some((key.clone(), value.to_owned()))
}

fn shown(value: &Value) -> String {
    value.as_f64().map_or_else(|| value.to_string(), |number| number.to_string())
}
