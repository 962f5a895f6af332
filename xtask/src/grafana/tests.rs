use serde_json::Value;

use super::query::{identifier, one_of, string, value_of};
use super::{files, metric, overview};

fn parsed(dashboard: &super::Dashboard) -> Value {
    serde_json::from_str(&super::json(dashboard).expect("json")).expect("json")
}

#[test]
fn names_texts_and_variables_are_quoted() {
    assert_eq!(identifier(r#"a"b\c"#), r#""a\"b\\c""#);
    assert_eq!(string(r"it's \"), r"'it\'s \\'");
    assert_eq!(one_of("value"), "/^${value:regex}$/");
    assert_eq!(value_of("metric"), "${metric:raw}");
}

#[test]
fn panels_have_numbers_of_their_own_and_do_not_overlap() {
    for dashboard in [overview::dashboard(), metric::dashboard()] {
        let json = parsed(&dashboard);
        let panels = json["panels"].as_array().expect("panels");
        let mut taken = std::collections::BTreeSet::new();
        for (index, panel) in panels.iter().enumerate() {
            assert_eq!(panel["id"], index + 1);
            let at = |key: &str| panel["gridPos"][key].as_u64().expect("number");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(x < 24 && taken.insert((x, y)), "{} at {x},{y}", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn every_variable_that_is_used_is_there() {
    for dashboard in [overview::dashboard(), metric::dashboard()] {
        let json = parsed(&dashboard);
        let list = json["templating"]["list"].as_array().expect("variables");
        let names: Vec<_> = list.iter().filter_map(|variable| variable["name"].as_str()).collect();
        let text = json.to_string();
        let used = text.split("${").skip(1).filter_map(|rest| rest.split(['}', ':', '.']).next());
        let unknown: Vec<_> = used.filter(|name| !name.starts_with("__") && !names.contains(name)).collect();
        assert!(unknown.is_empty(), "{unknown:?} of {names:?}");
    }
}

#[test]
fn no_secret_is_written_down() {
    let files = files().expect("files");
    let (_, yaml) = files.iter().find(|(path, _)| path.contains("datasources")).expect("data source");
    insta::assert_snapshot!(yaml.split_once("datasources:\n").expect("head").1, @"
      - name: Tidemark
        uid: tidemark
        type: influxdb
        access: proxy
        url: $TIDEMARK_INFLUXDB_URL
        # Grafana 9 reads the first, later ones the second.
        database: tidemark
        jsonData:
          dbName: tidemark
          version: InfluxQL
          httpMode: GET
          timeInterval: 1m
          httpHeaderName1: Authorization
        secureJsonData:
          httpHeaderValue1: Token $TIDEMARK_INFLUXDB_TOKEN
        editable: false
    ");
}
