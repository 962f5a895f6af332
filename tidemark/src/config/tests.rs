//! Bad files and the exact words said of them.

use proptest::prelude::*;

use super::pipeline::check_text;
use super::testing::{check, environment, findings_of};
use super::{Config, read};

const GOOD: &str = r#"version: 1
sources:
  shop: {sqlite: {path: shop.db}}
  risk: {http: {url: "https://risk.example.com", bearer_token: "${RISK_TOKEN}"}}
metrics:
  - name: orders
    source: shop
    query: {sql: "SELECT count(*) FROM orders WHERE t >= :start AND t < :end"}
    interval: 1m
    delay: 5s
    labels: []
    kind: count
  - name: sales
    source: risk
    query: {http: {path: /sales, json: {rows: "$[*]"}}}
    cron: "0 */5 * * * MON-FRI"
    window: 5m
    timezone: Asia/Shanghai
    values: [orders, {name: amount, column: sum, unit: CNY, for: {m: 2, n: 3}}]
receivers:
  - name: ops
    channels: [{webhook: {url: "https://hooks.example.com", secret: "${WEBHOOK_SECRET}"}}]
route: {receiver: ops}
calendar: {promotions: [{name: sale, from: "2026-11-11", to: "2026-11-11", metrics: [sales.*]}]}
"#;

/// The good file with one part replaced.
fn with(part: &str, other: &str) -> String {
    assert!(GOOD.contains(part), "{part}");
    GOOD.replacen(part, other, 1)
}

fn shown(text: &str) -> String {
    findings_of(text).join("\n")
}

#[test]
fn a_good_file_has_no_finding_and_yields_its_shares() {
    assert_eq!(shown(GOOD), "");
    let (file, revision) = check(GOOD).good.unwrap();
    let config = Config { path: "/etc/tidemark/tidemark.yaml".into(), file: file.into(), revision };
    let names: Vec<String> = config.judging().iter().map(|s| s.metric.to_string()).collect();
    assert_eq!(names, ["orders", "sales.orders", "sales.amount"]);
    assert_eq!(config.samplers().len(), 2);
    assert_eq!(config.data_dir(), std::path::Path::new("/etc/tidemark/tidemark-data"));
    let amount = &config.judging()[2];
    assert_eq!(
        (amount.for_.m, amount.info.unit.as_str(), amount.timezone.name()),
        (2, "CNY", "Asia/Shanghai")
    );
    assert_eq!(config.samplers()[1].values[1].column.as_deref(), Some("sum"));
}

#[test]
fn a_limit_on_the_side_nobody_watches_is_told() {
    let warned = |settings: &str| {
        let text = format!(
            "version: 1\nsources: {{s: {{sqlite: {{path: s.db}}}}}}\nmetrics:\n  - {{name: m, source: s, query: {{sql: 'SELECT 1 AS value'}}, interval: 1m, {settings}}}\n"
        );
        let mut found = super::testing::findings_of(&text);
        found.retain(|line| line.contains("never fires"));
        found
    };
    insta::assert_snapshot!(
        warned("direction: below, threshold: {above: 3}").join("\n"),
        @"tidemark.yaml:4:112: warning: threshold `above` never fires: `direction: below` watches the other side only"
    );
    assert_eq!(warned("direction: below, threshold: {below: 3}"), Vec::<String>::new());
    assert_eq!(warned("threshold: {above: 3}"), Vec::<String>::new());
}

#[test]
fn the_revision_is_of_the_content_and_not_of_its_form() {
    let revision = |text: &str| check(text).good.unwrap().1;
    assert_eq!(revision(GOOD), revision(&GOOD.replace("delay: 5s", "delay:    '5s'  # late rows")));
    assert_ne!(revision(GOOD), revision(&with("delay: 5s", "delay: 6s")));
}

#[test]
fn words_and_types() {
    let table = [
        with("interval: 1m", "intervall: 1m"),
        with("interval: 1m", "interval: 5"),
        with("labels: []", "labels: channel"),
        with("kind: count", "kind: cuont"),
        with("kind: count", "severity_layers: {p0: 1, p1: high}"),
        with("timezone: Asia/Shanghai", "timezone: Asia/Shangai"),
        with("version: 1", "version: 2"),
        with("    source: shop\n", ""),
        with("{sqlite: {path: shop.db}}", "{sqlit: {path: shop.db}}"),
        with("{sqlite: {path: shop.db}}", "shop.db"),
        with("{sqlite: {path: shop.db}}", "{sqlite: {path: shop.db}, http: {url: \"http://x\"}}"),
        with("column: sum", "colum: sum"),
        with("values: [orders,", "values: [[orders],"),
        with("delay: 5s", "delay:"),
        with("delay: 5s", "min_deviation_pct: -1"),
        with("delay: 5s", "max_rows: 0"),
        with("delay: 5s", "storage: {}"),
        with("kind: count", "for: 5m"),
        with("kind: count", "threshold: 10"),
        with("kind: count", "trim: \"2\""),
        with("{sqlite: {path: shop.db}}", "{postgres: {host: h, port: \"5432\", database: d, user: u}}"),
    ];
    let all: Vec<String> = table.iter().map(|text| shown(text)).collect();
    insta::assert_snapshot!(all.join("\n"), @r#"
    tidemark.yaml:9:5: error: unknown key `intervall`, did you mean `interval`?
    tidemark.yaml:9:15: error: `5` does not fit: expected a duration such as 30s, 5m, 1h30m or 7d
    tidemark.yaml:11:13: error: expected a list, found `channel`
    tidemark.yaml:12:11: error: unknown value `cuont`, did you mean `count`? (valid: gauge, count, rate)
    tidemark.yaml:12:34: error: expected a number, found `high`
    tidemark.yaml:18:15: error: unknown time zone `Asia/Shangai`, did you mean `Asia/Shanghai`?
    tidemark.yaml:1:10: error: version `2` is not known: this Tidemark reads version 1
    tidemark.yaml:6:5: error: missing key `source`
    tidemark.yaml:3:10: error: unknown type `sqlit`, did you mean `sqlite`? (valid: sqlite, mysql, postgres, http, elasticsearch)
    tidemark.yaml:3:9: error: expected a mapping with one of: sqlite, mysql, postgres, http, elasticsearch, found `shop.db`
    tidemark.yaml:3:35: error: expected exactly one of: sqlite, mysql, postgres, http, elasticsearch
    tidemark.yaml:19:37: error: unknown key `colum`, did you mean `column`?
    tidemark.yaml:19:14: error: expected text or a mapping, found a list
    tidemark.yaml:10:10: error: expected text, found nothing: give a value or leave the key out
    tidemark.yaml:10:24: error: `-1` is too small: at least 0
    tidemark.yaml:10:15: error: `0` is too small: at least 1
    tidemark.yaml:10:5: error: unknown key `storage` (valid: name, source, query, interval, cron, window, delay, timeout, timezone, labels, static_labels, values, numerator, denominator, max_rows, kind, direction, min_deviation_pct, min_value, missing, no_data, for, threshold, severity, severity_layers, same_day, trim, false_alarms_per_week, freeze_max, algorithms, title, unit, owner, runbook_url, calendars)
    tidemark.yaml:12:10: error: expected a mapping `{m: .., n: ..}`, found `5m`
    tidemark.yaml:12:16: error: expected a mapping `{above: .., below: ..}`, found `10`
    tidemark.yaml:12:11: error: expected a whole number, found text: write `2` without quotes
    tidemark.yaml:3:36: error: expected a whole number, found text: write `5432` without quotes
    "#);
}

#[test]
fn names_and_meaning() {
    let table = [
        with("source: shop", "source: shp"),
        with("name: sales", "name: orders"),
        with("receiver: ops", "receiver: opps"),
        with("receiver: ops", "receiver: ops, mute_time_intervals: [night]"),
        with("metrics: [sales.*]", "metrics: [sale.*]"),
        with("kind: count", "algorithms: [baselin]"),
        with("kind: count", "calendars: [sail]"),
        with("kind: count", "for: {m: 5, n: 3}"),
        with("kind: count", "kind: rate"),
        with("kind: count", "numerator: passed"),
        with("kind: count", "threshold: {above: 1, below: 2}"),
        with("kind: count", "threshold: {}"),
        with("labels: []", "labels: [value, channel, channel]"),
        with("interval: 1m", "interval: 7m"),
        with("interval: 1m", "cron: \"0 * * * * *\""),
        with("    interval: 1m\n", ""),
        with("window: 5m", "interval: 5m"),
        with("0 */5 * * * MON-FRI", "0 */5 * * * 1-5"),
        with("0 */5 * * * MON-FRI", "every five minutes"),
        with(":start AND", ":strat AND"),
        with("rows: \"$[*]\"", "rows: \"$[[\""),
        with("to: \"2026-11-11\"", "to: tomorrow"),
        with("version: 1", "version: 1\nhttp: {listen: \"0.0.0.0:9680\"}"),
        with("version: 1", "version: 1\nhttp: {listen: everywhere}"),
        with("version: 1", "version: 1\nhttp: {external_url: tidemark}"),
        with("version: 1", "version: 1\nhttp: {token_file: secret.txt}"),
        with("route: {receiver: ops}", ""),
        with("route: {receiver: ops}", "route:"),
    ];
    let all: Vec<String> = table.iter().map(|text| shown(text)).collect();
    insta::assert_snapshot!(all.join("\n"), @r#"
    tidemark.yaml:7:13: error: unknown source `shp`, did you mean `shop`? (valid: shop, risk)
    tidemark.yaml:6:11: error: metric `orders` stands twice: it is on line 13 too
    tidemark.yaml:13:11: error: metric `orders` stands twice: it is on line 6 too
    tidemark.yaml:24:86: error: unknown metric `sales.*` (valid: orders, orders.orders, orders.amount)
    tidemark.yaml:23:19: error: unknown receiver `opps`, did you mean `ops`? (valid: ops)
    tidemark.yaml:23:45: error: the root route cannot be muted
    tidemark.yaml:23:46: error: unknown time interval `night`: there is none
    tidemark.yaml:24:86: error: unknown metric `sale.*` (valid: orders, sales.orders, sales.amount)
    tidemark.yaml:12:18: error: unknown algorithm `baselin`, did you mean `baseline`? (valid: count, baseline, onestep, grey, cusum, threshold)
    tidemark.yaml:12:17: error: unknown promotion `sail` (valid: sale)
    tidemark.yaml:12:10: error: 5 of the last 3 windows cannot be
    tidemark.yaml:6:11: error: `kind: rate` needs `numerator` and `denominator`
    tidemark.yaml:6:11: error: a rate needs both `numerator` and `denominator`
    tidemark.yaml:12:16: error: no value is neither above `above` nor below `below`
    tidemark.yaml:12:16: error: give `above`, `below` or both
    tidemark.yaml:11:14: error: `value` cannot be a label: the time-series layout has a tag or field of that name
    tidemark.yaml:11:30: error: label `channel` is listed twice
    tidemark.yaml:9:15: error: interval 7m does not divide a day: write for example 6m40s or 7m12s
    tidemark.yaml:9:11: error: `cron` needs `window`: how long a stretch each sample speaks of
    tidemark.yaml:6:11: error: missing key `interval` (or `cron` and `window`)
    tidemark.yaml:16:11: error: `interval` is given too: write one of them
    tidemark.yaml:16:11: error: `1-5`: write days of the week by name (MON, TUE, .. SUN), since their numbers mean different days in different crons
    tidemark.yaml:16:11: error: `every five minutes` has 3 fields, and a cron expression has 6: second minute hour day-of-month month day-of-week, for example `0 */5 * * * MON-FRI`
    tidemark.yaml:8:18: error: unknown parameter `:strat`: there are :start, :end, :start_ms, :end_ms, :start_s, :end_s, :start_text, :end_text
    tidemark.yaml:15:47: error: `$[[` is not a JSONPath: at character 2: parser error
    tidemark.yaml:24:62: error: `tomorrow` is not a local time: write YYYY-MM-DD or YYYY-MM-DDTHH:MM
    tidemark.yaml:2:16: error: `0.0.0.0:9680` can be reached from other machines: set `token` or `token_file`, or listen on 127.0.0.1
    tidemark.yaml:2:16: error: `everywhere` is not an address to listen on: write for example 127.0.0.1:9680
    tidemark.yaml:2:22: error: `tidemark` is no address for links: write for example https://tidemark.example.com
    tidemark.yaml:2:20: error: cannot read `secret.txt`: it does not exist
    tidemark.yaml:21:3: error: receivers are given but no `route` says who gets what: add `route: {receiver: ..}`
    tidemark.yaml:23:6: error: receivers are given but no `route` says who gets what: add `route: {receiver: ..}`
    "#);
}

#[test]
fn warnings() {
    let table = [
        with("  risk:", "  spare: {sqlite: {path: x.db}}\n  risk:"),
        with("  - name: ops", "  - name: idle\n  - name: ops"),
        with("interval: 1m", "interval: 1m\n    timeout: 1m"),
        with("interval: 1m\n    delay: 5s", "interval: 30s"),
        "version: 1\n".to_owned(),
    ];
    let all: Vec<String> = table.iter().map(|text| shown(text)).collect();
    insta::assert_snapshot!(all.join("\n"), @r#"
    tidemark.yaml:4:3: warning: source `spare` is used by no metric
    tidemark.yaml:21:11: warning: receiver `idle` is named by no route: it never gets a message
    tidemark.yaml:10:14: warning: `timeout` is not shorter than the interval: a slow answer costs the next tick
    tidemark.yaml:9:15: warning: windows this short need a `delay`: rows written after the window's end are missed
    tidemark.yaml:1:1: warning: no metric is configured: nothing is watched
    "#);
}

#[test]
fn broken_files() {
    let table = [
        String::new(),
        "# nothing but a comment\n".to_owned(),
        "just text\n".to_owned(),
        "- a\n- list\n".to_owned(),
        "version: 1\n\tmetrics: []\n".to_owned(),
        "version: 1\nmetrics: [\n".to_owned(),
        "version: 1\n---\nversion: 1\n".to_owned(),
        "version: 1\nversion: 1\n".to_owned(),
        "version: !secret 1\n".to_owned(),
        "version: 1\nsources: *shop\n".to_owned(),
        with("cron: \"0 */5 * * * MON-FRI\"", "cron: */5 * * * *"),
        with("interval: 1m", "title: Orders: per minute"),
        with("interval: 1m", "interval: ${INTERVAL}"),
        with("interval: 1m", "title: ${"),
        format!("\u{feff}{}", with("interval: 1m", "intervall: 1m")),
        with("interval: 1m", &format!("{}: 1m", "i".repeat(1_000_000))),
        with("interval: 1m", &format!("interval: {}", "5".repeat(1_000_000))),
    ];
    let read = |text: &String| match read::decode(text.as_bytes()) {
        Ok(text) => shown(&text),
        Err(finding) => finding.message,
    };
    let all: Vec<String> = table.iter().map(read).collect();
    insta::assert_snapshot!(all.join("\n"), @r#"
    tidemark.yaml:1:1: error: file is empty: `tidemark init` writes one that runs
    tidemark.yaml:1:1: error: file is empty: `tidemark init` writes one that runs
    tidemark.yaml:1:1: error: expected a mapping of keys such as `version: 1`
    tidemark.yaml:1:1: error: expected a mapping of keys such as `version: 1`
    tidemark.yaml:2:1: error: a tab stands in the indentation: YAML wants spaces
    tidemark.yaml:2:10: error: broken YAML: unclosed bracket '['
    tidemark.yaml:2:1: error: a second document begins here: a configuration is one document
    tidemark.yaml:2:1: error: duplicate key `version`: it stands on line 1 already
    tidemark.yaml:1:18: error: unknown tag `!secret`: leave it out
    tidemark.yaml:2:10: error: alias of an anchor that does not exist above: a value that begins with `*` needs quotes
    tidemark.yaml:16:11: error: alias of an anchor that does not exist above: a value that begins with `*` needs quotes
    tidemark.yaml:9:18: error: broken YAML: mapping values are not allowed in this context: a value with `: ` in it needs quotes
    tidemark.yaml:9:15: error: environment variable `INTERVAL` is not set
    tidemark.yaml:9:12: error: `${` without `}`: write `${NAME}`, or `$${` for the text itself
    tidemark.yaml:9:5: error: unknown key `intervall`, did you mean `interval`?
    tidemark.yaml:9:5: error: broken YAML: simple key expected ':'
    tidemark.yaml:9:15: error: `555555555555555555555555555555555555555555555555555555555555…` does not fit: expected a duration such as 30s, 5m, 1h30m or 7d
    "#);
}

#[test]
fn bytes_that_are_no_text() {
    let said = |bytes: &[u8]| {
        let finding = read::decode(bytes).unwrap_err();
        format!("{}:{}: {}", finding.place.line, finding.place.column, finding.message)
    };
    let large = vec![b' '; 9 << 20];
    let table = [&b"version: 1\n# \xC3\xA4\xFF\n"[..], b"\xFF\xFEv\0", &large];
    insta::assert_snapshot!(table.map(said).join("\n"), @r#"
    2:4: byte 0xFF is not UTF-8: save the file as UTF-8
    1:1: file is UTF-16: save it as UTF-8
    1:1: file is larger than 8 MiB
    "#);
}

#[test]
fn an_alias_bomb_is_refused_and_shared_settings_are_taken() {
    let mut bomb = String::from("version: 1\nx0: &x0 [1, 2, 3, 4, 5, 6, 7, 8, 9]\n");
    for level in 1..12 {
        let aliases = vec![format!("*x{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("x{level}: &x{level} [{aliases}]\n"));
    }
    insta::assert_snapshot!(shown(&bomb), @"tidemark.yaml:7:40: error: more than 500000 values, aliases counted as often as they are used");
    let merged = with("    kind: count", "    kind: count\n    for: &for {m: 2, n: 3}")
        .replace("for: {m: 2, n: 3}}]", "for: {<<: *for, n: 4}}]");
    assert_eq!(shown(&merged), "");
}

#[test]
fn every_mistake_is_found_at_once_in_order_of_place() {
    let text = with("interval: 1m", "intervall: 1m")
        .replace("source: shop", "source: shp")
        .replace("receiver: ops", "receiver: opps")
        .replace("unit: CNY", "unti: CNY");
    insta::assert_snapshot!(shown(&text), @r#"
    tidemark.yaml:7:13: error: unknown source `shp`, did you mean `shop`? (valid: shop, risk)
    tidemark.yaml:9:5: error: unknown key `intervall`, did you mean `interval`?
    tidemark.yaml:19:50: error: unknown key `unti`, did you mean `unit`?
    tidemark.yaml:23:19: error: unknown receiver `opps`, did you mean `ops`? (valid: ops)
    "#);
}

#[test]
fn no_secret_is_said() {
    let url = with("https://hooks.example.com", "ftp://${SMTP_PASSWORD}@hooks.example.com");
    let texts = [
        url,
        with("interval: 1m", "interval: ${SMTP_PASSWORD}"),
        with("name: sales", "name: '${SMTP_PASSWORD} x'"),
        with("source: shop", "source: ${SMTP_PASSWORD}"),
        with("kind: count", "kind: ${SMTP_PASSWORD}"),
    ];
    for text in texts {
        let checked = check(&text);
        let said = checked.findings.shown(true);
        assert!(checked.good.is_none() && !said.contains("hunter"), "{said}");
    }
}

#[test]
fn a_token_comes_out_of_its_file_and_changes_the_revision() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tidemark.yaml");
    let secret = dir.path().join("token.txt");
    std::fs::write(&path, "version: 1\nhttp: {listen: \"0.0.0.0:0\", token_file: token.txt}\n").unwrap();
    let load = |token: &str| {
        std::fs::write(&secret, token).unwrap();
        Config::load(&path)
    };
    let first = load("hunter22\n").unwrap();
    assert_eq!(first.file().http.token.as_ref().unwrap().expose(), "hunter22");
    assert_ne!(first.revision(), load("hunter23\n").unwrap().revision());
    let said = load(" \n").unwrap_err().lines().join("\n");
    assert!(said.contains("tidemark.yaml:2:41: error: ") && said.ends_with("holds nothing"), "{said}");
}

#[test]
fn numbers_are_taken_as_text_where_text_is_wanted() {
    let text = with("unit: CNY", "unit: 1e3").replace("delay: 5s", "title: 2024");
    let (file, _) = check(&text).good.unwrap();
    assert_eq!(file.metrics[0].judging.title.as_deref(), Some("2024"));
}

#[test]
fn a_search_is_taken_as_it_is_written() {
    let source = r#"{elasticsearch: {url: "https://search:9200", api_key: "${RISK_TOKEN}"}}"#;
    let query = r#"{elasticsearch: {index: "orders-*", query: {term: {log_file: "a.log"}}, time_field: null, by: [channel],
      metrics: {slow: {filter: "wait:>3"}, p: {percentiles: {field: wait}}, sum_file: {sum: amount}}}}"#;
    let other = r#"{http: {url: "https://risk.example.com", bearer_token: "${RISK_TOKEN}"}}"#;
    let text = with(other, source)
        .replace(r#"{http: {path: /sales, json: {rows: "$[*]"}}}"#, query)
        .replace("values: [orders,", "labels: [channel]\n    values: [{name: orders, column: slow},");
    assert_eq!(shown(&text), "");
    let (file, _) = check(&text).good.unwrap();
    let collector::Query::Elasticsearch(query) = &file.metrics[1].query else { panic!("another query") };
    let filter = serde_json::to_string(&query.query).unwrap();
    assert_eq!((filter.as_str(), &query.time_field), (r#"{"term":{"log_file":"a.log"}}"#, &None));
    let wrong = text
        .replace("percentiles: {field: wait}", "percentile: wait")
        .replace("by: [channel]", "by: [{name: channel, feld: c}, 3]")
        .replace("api_key:", "api_key: x, apikey:");
    insta::assert_snapshot!(shown(&wrong), @r#"
    tidemark.yaml:4:66: error: unknown key `apikey`, did you mean `api_key`?
    tidemark.yaml:15:123: error: unknown key `feld`, did you mean `field`? (valid: name, field, missing_bucket)
    tidemark.yaml:16:48: error: unknown type `percentile`, did you mean `percentiles`? (valid: sum, avg, min, max, value_count, cardinality, stats, extended_stats, percentiles, filter)
    "#);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_mutation_panics_or_is_reported_outside_of_the_file(
        edits in prop::collection::vec((0..GOOD.len(), 0..12usize, "[\\PC\n\t:{}\\[\\]&*$\"'-]{0,6}"), 1..5),
    ) {
        let mut text: Vec<char> = GOOD.chars().collect();
        for (at, cut, insert) in edits {
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        let checked = check_text(std::path::Path::new("tidemark.yaml"), text.clone(), &environment);
        let lines: Vec<&str> = text.split('\n').collect();
        for finding in &checked.findings.all {
            let (line, column) = (finding.place.line, finding.place.column);
            prop_assert!(line >= 1 && line <= lines.len().max(1), "{finding:?}");
            let width = lines[line - 1].chars().count();
            prop_assert!(column >= 1 && column <= width + 1, "{finding:?} in {:?}", lines[line - 1]);
        }
        prop_assert_eq!(checked.good.is_some(), checked.findings.errors() == 0);
        checked.findings.shown(true);
    }
}
