//! Every query of Grafana's dashboards, expanded as Grafana expands it, asked of real InfluxDB 1.13 and 2.7 that hold
//! what the pipeline wrote.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod history;
mod servers;

use components::grafana::{Dashboard, Mode, Target, Values, View};
use history::{MINUTES, START};
use serde_json::{Value, json};
use servers::{Server, servers};

/// What is looked at: the two hours of the history.
fn view(pairs: &[(&'static str, Values)]) -> View {
    View::new(START.as_millis(), START.as_millis() + 2 * 3_600_000, pairs)
}

fn orders() -> View {
    view(&[
        ("metric", Values::one("orders")),
        ("label", Values::one("channel")),
        ("value", Values::all(".*")),
        ("tidemark", Values::one("http://tidemark")),
    ])
}

fn everything() -> View {
    view(&[("metric", Values::all(".*")), ("tidemark", Values::one("http://tidemark"))])
}

/// The one answer of all servers, however the query is expanded.
async fn ask(target: &Target, view: &View) -> Value {
    let mut answers = Vec::new();
    for server in servers().await {
        for mode in [Mode::Browser, Mode::Backend] {
            let query = target.expand(view, mode);
            let answer = server.query(&query).await;
            assert!(answer.get("error").is_none(), "{} to {query}: {answer}", server.name);
            answers.push((server.name, query, answer["series"].clone()));
        }
    }
    for (server, query, answer) in &answers {
        assert_eq!(*answer, answers[0].2, "{server} answers another thing to {query}");
    }
    answers.swap_remove(0).2
}

/// Title, tags, columns, how many rows, and the last of them.
fn outline(title: &str, answer: &Value) -> String {
    let series: Vec<Value> = answer.as_array().cloned().unwrap_or_default();
    let line = |one: &Value| {
        let rows = one["values"].as_array().map_or(0, Vec::len);
        let last = one["values"].as_array().and_then(|rows| rows.last()).cloned().unwrap_or_default();
        let tags = one.get("tags").map_or_else(String::new, |tags| format!(" {tags}"));
        format!("  {}{tags} {} {rows} rows, last {last}", one["name"].as_str().unwrap_or("-"), one["columns"])
    };
    let lines: Vec<_> =
        if series.is_empty() { vec!["  nothing".into()] } else { series.iter().map(line).collect() };
    format!("{title}\n{}\n", lines.join("\n"))
}

async fn outlines(dashboard: &Dashboard, view: &View) -> String {
    let mut text = String::new();
    for target in dashboard.targets() {
        text.push_str(&outline(&target.title, &ask(&target, view).await));
    }
    text
}

#[tokio::test]
async fn every_query_of_the_overview_is_answered() {
    let text = outlines(&Dashboard::read("overview"), &everything()).await;
    insta::assert_snapshot!(text, @r#"
    Firing A
      verdict ["time","series"] 1 rows, last [0,1]
    Outside their band A
      verdict ["time","series"] 1 rows, last [0,1]
    Missing A
      nothing
    Learning A
      verdict ["time","series"] 1 rows, last [0,1]
    Series A
      verdict ["time","series"] 1 rows, last [0,6]
    Every series A
      verdict {"channel":"","metric":"logins","shop":""} ["time","status","value","expected","deviation","score"] 1 rows, last [1700005740000,0,101,100,1,0.05]
      verdict {"channel":"","metric":"revenue.daily","shop":""} ["time","status","value","expected","deviation","score"] 1 rows, last [1700006400000,1,6.5,null,null,4.675]
      verdict {"channel":"","metric":"sales.amount","shop":"a/b (c)|d.*'e\""} ["time","status","value","expected","deviation","score"] 1 rows, last [1700005740000,4,130,100,30,1.5]
      verdict {"channel":"","metric":"sales.amount","shop":"b"} ["time","status","value","expected","deviation","score"] 1 rows, last [1700005740000,3,121,100,21,1.05]
      verdict {"channel":"app","metric":"orders","shop":""} ["time","status","value","expected","deviation","score"] 1 rows, last [1700005740000,0,100,100,0,0]
      verdict {"channel":"web","metric":"orders","shop":""} ["time","status","value","expected","deviation","score"] 1 rows, last [1700005740000,0,99,100,-1,0.05]
    Every series B
      alert {"channel":"","metric":"sales.amount","shop":"a/b (c)|d.*'e\"","state":"firing"} ["time","last alert"] 1 rows, last [1700005200000,"sales.amount (shop=a/b (c)|d.*'e\") is lower than expected: 40 (expected 100, band 80 to 120, -60 %)"]
      alert {"channel":"app","metric":"orders","shop":"","state":"firing"} ["time","last alert"] 1 rows, last [1700004000000,"orders (channel=app) is lower than expected: 40 (expected 100, band 80 to 120, -60 %)"]
    State of every metric A
      verdict {"metric":"logins"} ["time","state"] 50 rows, last [1700005740000,0]
      verdict {"metric":"orders"} ["time","state"] 50 rows, last [1700005740000,0]
      verdict {"metric":"revenue.daily"} ["time","state"] 2 rows, last [1700006400000,1]
      verdict {"metric":"sales.amount"} ["time","state"] 50 rows, last [1700005740000,4]
    Alerts A
      alert ["time","text","severity","id"] 2 rows, last [1700004000000,"orders (channel=app) is lower than expected: 40 (expected 100, band 80 to 120, -60 %)","P1","caa55e073dba2421-loyyhlhc"]
    Alerts B
      alert ["time","end_ms","id"] 1 rows, last [1700004000000,1700004660000,"caa55e073dba2421-loyyhlhc"]
    Missed ticks A
      pipeline ["time","missed"] 1 rows, last [1700002800000,3]
    Errors of sources A
      pipeline ["time","errors"] 1 rows, last [1700002800000,1]
    Replica lag A
      pipeline {"component":"replica/second"} ["time","lag_secs"] 1 rows, last [1700002890000,42]
    Deliveries that failed A
      pipeline ["time","failed"] 1 rows, last [1700002800000,2]
    Log in use A
      pipeline ["time","depth_pct"] 1 rows, last [1700002890000,50]
    Missed ticks and errors by sampler A
      pipeline {"component":"orders"} ["time","missed","errors"] 1 rows, last [1700002860000,3,1]
    Lag of every reader of the log A
      pipeline {"component":"replica/second"} ["time","lag"] 1 rows, last [1700002860000,42]
    annotation Alerts
      alert ["time","text","severity"] 2 rows, last [1700005200000,"sales.amount (shop=a/b (c)|d.*'e\") is lower than expected: 40 (expected 100, band 80 to 120, -60 %)","P1"]
    "#);
}

#[tokio::test]
async fn every_query_of_the_metric_dashboard_is_answered() {
    let text = outlines(&Dashboard::read("metric"), &orders()).await;
    insta::assert_snapshot!(text, @r#"
    Series of ${metric} A
      verdict {"channel":"app","metric":"orders","shop":""} ["time","status","value","expected","lower","upper","deviation","score"] 1 rows, last [1700005740000,0,100,100,80,120,0,0]
      verdict {"channel":"web","metric":"orders","shop":""} ["time","status","value","expected","lower","upper","deviation","score"] 1 rows, last [1700005740000,0,99,100,80,120,-1,0.05]
    ${metric} ${value} A
      verdict {"channel":"app","metric":"orders","shop":""} ["time","lower","upper","last week","forecast","expected","actual"] 50 rows, last [1700005740000,80,120,97,98,100,100]
      verdict {"channel":"web","metric":"orders","shop":""} ["time","lower","upper","last week","forecast","expected","actual"] 50 rows, last [1700005740000,80,120,97,98,100,99]
    Deviation from what was expected A
      verdict {"channel":"app","metric":"orders"} ["time","deviation","state"] 50 rows, last [1700005740000,0,0]
      verdict {"channel":"web","metric":"orders"} ["time","deviation","state"] 50 rows, last [1700005740000,-1,0]
    Score: 1 is the limit A
      verdict {"channel":"app","metric":"orders"} ["time","score"] 50 rows, last [1700005740000,0]
      verdict {"channel":"web","metric":"orders"} ["time","score"] 50 rows, last [1700005740000,0.05]
    State A
      verdict {"channel":"app","metric":"orders"} ["time","state"] 50 rows, last [1700005740000,0]
      verdict {"channel":"web","metric":"orders"} ["time","state"] 50 rows, last [1700005740000,0]
    Alerts of ${metric} A
      alert ["time","id","text","severity"] 1 rows, last [1700004000000,"caa55e073dba2421-loyyhlhc","orders (channel=app) is lower than expected: 40 (expected 100, band 80 to 120, -60 %)","P1"]
    Alerts of ${metric} B
      alert ["time","id","end_ms"] 1 rows, last [1700004000000,"caa55e073dba2421-loyyhlhc",1700004660000]
    annotation Alerts
      alert ["time","text","severity"] 1 rows, last [1700004000000,"orders (channel=app) is lower than expected: 40 (expected 100, band 80 to 120, -60 %)","P1"]
    annotation Time in alert
      alert ["time","text","severity","end_ms"] 1 rows, last [1700004000000,"orders (channel=app) is back to normal: 40","P1",1700004660000]
    "#);
}

#[tokio::test]
async fn a_missing_window_is_a_gap_and_not_zero() {
    let dashboard = Dashboard::read("metric");
    let view = view(&[
        ("metric", Values::one("orders")),
        ("label", Values::one("channel")),
        ("value", Values::one("app")),
    ]);
    let answer = ask(&dashboard.target("${metric} ${value} A"), &view).await;
    let (columns, rows) = (&answer[0]["columns"], answer[0]["values"].as_array().unwrap());
    assert_eq!(*columns, json!(["time", "lower", "upper", "last week", "forecast", "expected", "actual"]));
    assert_eq!((answer.as_array().unwrap().len(), rows.len()), (1, MINUTES as usize));
    for (minute, row) in (0..).zip(rows) {
        assert_eq!(row[0], START.as_millis() + minute * 60_000);
        let missing = (10..15).contains(&minute);
        assert_eq!(row[6].is_null(), missing, "the value of minute {minute}: {row}");
        assert_eq!((&row[1], &row[2], &row[5]), (&json!(80), &json!(120), &json!(100)), "{row}");
    }
}

#[tokio::test]
async fn an_hourly_metric_is_a_line_however_close_one_looks() {
    let dashboard = Dashboard::read("metric");
    let view = view(&[
        ("metric", Values::one("revenue.daily")),
        ("label", Values::one("")),
        ("value", Values::all(".*")),
    ]);
    let answer = ask(&dashboard.target("${metric} ${value} A"), &view).await;
    let values: Vec<_> = answer[0]["values"].as_array().unwrap().iter().map(|row| &row[6]).collect();
    assert_eq!(values, [&json!(5.5), &json!(6.5)]);
    let states = ask(&dashboard.target("State A"), &view).await;
    assert_eq!(states[0]["values"].as_array().unwrap().len(), 2, "{states}");
}

#[tokio::test]
async fn farther_away_an_interval_shows_the_mean_of_values_and_the_worst_of_states() {
    let dashboard = Dashboard::read("metric");
    let mut view = orders();
    // Two weeks on 1000 points.
    (view.from, view.until) = (view.from - 12 * 86_400_000, view.until + 2 * 86_400_000);
    assert_eq!(view.interval("1m"), "20m");
    let states = ask(&dashboard.target("State A"), &view).await;
    let of = |channel: &str| {
        let all = states.as_array().unwrap();
        let one = all.iter().find(|one| one["tags"]["channel"] == channel).unwrap();
        one["values"].as_array().unwrap().iter().map(|row| row[1].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((of("app"), of("web")), (vec![2, 4, 0], vec![0, 0, 0]));
    let band = ask(&dashboard.target("${metric} ${value} A"), &view).await;
    assert_eq!(band[0]["values"][0][6], json!(100), "missing windows count for nothing: {band}");
}

#[tokio::test]
async fn a_label_may_hold_what_a_pattern_must_not() {
    let dashboard = Dashboard::read("metric");
    let with = |values| {
        view(&[("metric", Values::one("sales.amount")), ("label", Values::one("shop")), ("value", values)])
    };
    let odd = history::ODD_SHOP;
    for (values, expected) in [
        (Values::one(odd), vec![odd]),
        (Values::many(&[odd, "b"]), vec![odd, "b"]),
        (Values::many(&["b"]), vec!["b"]),
        (Values::all(".*"), vec![odd, "b"]),
    ] {
        let answer = ask(&dashboard.target("Series of ${metric} A"), &with(values)).await;
        let shops = answer.as_array().unwrap().iter().map(|one| one["tags"]["shop"].as_str().unwrap());
        let mut shops: Vec<_> = shops.collect();
        shops.sort_by_key(|shop| *shop == "b");
        assert_eq!(shops, expected);
    }
}

#[tokio::test]
async fn filters_reach_every_panel_of_the_metric_dashboard() {
    let dashboard = Dashboard::read("metric");
    let mut view = orders();
    view.filters = vec![("channel".into(), "web".into())];
    for target in
        dashboard.targets().iter().filter(|target| target.is_panel() && target.measurement() == "verdict")
    {
        let answer = ask(target, &view).await;
        let all = answer.as_array().unwrap();
        assert!(all.len() == 1 && all[0]["tags"]["channel"] == "web", "{}: {answer}", target.title);
    }
}

#[tokio::test]
async fn variables_offer_what_the_store_holds() {
    async fn offered(server: &Server, query: &str) -> Vec<String> {
        let answer = server.query(query).await;
        let rows = answer["series"][0]["values"].as_array().cloned().unwrap_or_default();
        rows.iter().filter_map(|row| row.as_array()?.last()?.as_str().map(str::to_owned)).collect()
    }
    let (dashboard, overview) = (Dashboard::read("metric"), Dashboard::read("overview"));
    let none = view(&[("metric", Values::one("revenue.daily")), ("label", Values::one(""))]);
    for server in servers().await {
        let metrics = offered(server, &dashboard.variable("metric", &orders())).await;
        assert_eq!(metrics, ["logins", "orders", "revenue.daily", "sales.amount"], "{}", server.name);
        assert_eq!(offered(server, &overview.variable("metric", &everything())).await, metrics);
        assert_eq!(offered(server, &dashboard.variable("label", &orders())).await, ["channel", "metric"]);
        assert_eq!(offered(server, &dashboard.variable("value", &orders())).await, ["app", "web"]);
        assert_eq!(offered(server, &dashboard.variable("label", &none)).await, ["metric"]);
        assert_eq!(offered(server, &dashboard.variable("value", &none)).await, Vec::<String>::new());
    }
}
