//! The commands as a shell sees them: exit codes, stdout and stderr of the real binary.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn tidemark(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidemark"))
        .args(args)
        .current_dir(dir)
        .env_remove("TIDEMARK_CONFIG")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A folder that `init` was run in.
fn initialised() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(tidemark(dir.path(), &["init"]).status.code(), Some(0));
    dir
}

/// Replaces a part of the configuration.
fn edit(dir: &TempDir, part: &str, other: &str) {
    let path = dir.path().join("tidemark.yaml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(part), "{part}");
    fs::write(path, text.replacen(part, other, 1)).unwrap();
}

#[test]
fn init_writes_what_passes_check_and_is_not_written_over() {
    let dir = initialised();
    let check = tidemark(dir.path(), &["check"]);
    assert_eq!((check.status.code(), err(&check)), (Some(0), String::new()));
    insta::assert_snapshot!(out(&check), @"tidemark.yaml is valid: 1 source, 2 metrics, 0 receivers, 0 warnings");
    let again = tidemark(dir.path(), &["init"]);
    assert_eq!(again.status.code(), Some(1));
    insta::assert_snapshot!(err(&again), @"error: tidemark.yaml is there already: --force writes over it");
    assert_eq!(tidemark(dir.path(), &["init", "--force"]).status.code(), Some(0));
    let online = tidemark(dir.path(), &["check", "--online"]);
    assert_eq!(online.status.code(), Some(0));
    let summary = "is valid: 1 source, 2 metrics, 0 receivers, 0 warnings; online: all 5 passed\n";
    assert!(out(&online).ends_with(summary), "{}", out(&online));
}

#[test]
fn run_logs_what_check_warns_of() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tidemark.yaml"), "version: 1\n").unwrap();
    let refused = tidemark(dir.path(), &["run", "--role", "console", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.status.code(), Some(1));
    let warned = "tidemark.yaml:1:1: warning: no metric is configured: nothing is watched";
    assert!(err(&refused).contains(warned), "{}", err(&refused));
}

#[test]
fn check_exits_78_before_4_before_3() {
    let dir = initialised();
    let code = |args: &[&str]| tidemark(dir.path(), args).status.code();
    edit(&dir, "    interval: 1m", "    interval: 1m\n    timeout: 1m");
    assert_eq!((code(&["check"]), code(&["check", "--online"])), (Some(3), Some(3)));
    edit(&dir, "FROM orders", "FROM orders_of_nobody");
    assert_eq!((code(&["check"]), code(&["check", "--online"])), (Some(3), Some(3)));
    edit(&dir, "path: tidemark-example.db", "path: nowhere.db");
    assert_eq!((code(&["check"]), code(&["check", "--online"])), (Some(3), Some(4)));
    edit(&dir, "kind: count", "kind: cuont");
    assert_eq!((code(&["check"]), code(&["check", "--online"])), (Some(78), Some(78)));
}

/// The address of a server that says this to every request, as long as the test binary lives.
fn always_answering(head: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => request.extend_from_slice(&buffer[..count]),
                }
            }
            let _ = stream.write_all(head.as_bytes());
        }
    });
    format!("http://{address}/hook")
}

#[test]
fn a_receiver_that_answers_wrongly_is_3_and_one_that_is_not_there_4() {
    let gone = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let broken = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let urls = [always_answering(gone), always_answering(broken), "http://127.0.0.1:1/hook".to_owned()];
    for (url, expected) in urls.iter().zip([3, 3, 4]) {
        let dir = initialised();
        let path = dir.path().join("tidemark.yaml");
        let receivers = format!(
            "receivers:\n  - name: ops\n    channels:\n      - webhook: {{url: '{url}', secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}\n\
             route: {{receiver: ops}}\n"
        );
        fs::write(&path, fs::read_to_string(&path).unwrap() + &receivers).unwrap();
        let check = tidemark(dir.path(), &["check", "--online"]);
        assert_eq!(check.status.code(), Some(expected), "{url}: {}{}", out(&check), err(&check));
    }
}

#[test]
fn a_source_that_answers_wrongly_is_named_with_its_error() {
    let dir = initialised();
    edit(&dir, "FROM orders", "FROM orders_of_nobody");
    let check = tidemark(dir.path(), &["check", "--online", "-o", "json"]);
    assert_eq!(check.status.code(), Some(3));
    let report: serde_json::Value = serde_json::from_str(&out(&check)).unwrap();
    let wrong: Vec<_> =
        report["findings"].as_array().unwrap().iter().filter(|f| f["outcome"] != "ok").collect();
    assert_eq!(wrong.len(), 1, "{report}");
    assert_eq!((&wrong[0]["kind"], &wrong[0]["name"]), (&"metric".into(), &"orders".into()));
    assert!(wrong[0]["detail"].as_str().unwrap().contains("orders_of_nobody"), "{report}");
}

#[test]
fn a_store_that_cannot_be_reached_is_named_with_its_place() {
    let dir = initialised();
    edit(
        &dir,
        "version: 1",
        "version: 1\nstorage: {replicas: [{influxdb: {name: far, url: 'http://127.0.0.1:1'}}, {embedded: {}}]}",
    );
    let check = tidemark(dir.path(), &["check", "--online", "-o", "json"]);
    assert_eq!(check.status.code(), Some(4));
    let report: serde_json::Value = serde_json::from_str(&out(&check)).unwrap();
    let stores: Vec<_> =
        report["findings"].as_array().unwrap().iter().filter(|f| f["kind"] == "store").collect();
    assert_eq!((&stores[0]["name"], &stores[0]["outcome"]), (&"far".into(), &"unreachable".into()));
    assert!(stores[0]["detail"].as_str().unwrap().contains("http://127.0.0.1:1/"), "{report}");
    assert_eq!((&stores[1]["name"], &stores[1]["outcome"]), (&"embedded".into(), &"ok".into()));
}

#[test]
fn findings_go_to_stderr_and_as_json_to_stdout() {
    let dir = initialised();
    edit(&dir, "    interval: 1m", "    intervall: 1m");
    edit(&dir, "kind: count", "kind: cuont");
    let check = tidemark(dir.path(), &["check", "tidemark.yaml"]);
    assert_eq!((check.status.code(), out(&check)), (Some(78), String::new()));
    insta::assert_snapshot!(err(&check), @r#"
    tidemark.yaml:63:5: error: unknown key `intervall`, did you mean `interval`?
    tidemark.yaml:66:11: error: unknown value `cuont`, did you mean `count`? (valid: gauge, count, rate)
    "#);
    let lines = out(&tidemark(dir.path(), &["check", "-o", "ndjson"]));
    insta::assert_snapshot!(lines, @r#"
    {"file":"tidemark.yaml","line":63,"column":5,"level":"error","message":"unknown key `intervall`, did you mean `interval`?"}
    {"file":"tidemark.yaml","line":66,"column":11,"level":"error","message":"unknown value `cuont`, did you mean `count`? (valid: gauge, count, rate)"}
    "#);
}

#[test]
fn other_commands_refuse_a_bad_configuration_with_78_and_every_mistake() {
    let dir = initialised();
    edit(&dir, "kind: count", "kind: cuont");
    let commands: [&[&str]; 4] =
        [&["run"], &["sample", "orders", "--once"], &["backtest", "orders"], &["metrics", "ls"]];
    for args in commands {
        let output = tidemark(dir.path(), args);
        assert_eq!(output.status.code(), Some(78), "{args:?}");
        assert!(err(&output).contains("unknown value `cuont`, did you mean `count`?"), "{}", err(&output));
    }
    let missing = tidemark(dir.path(), &["check", "missing.yaml"]);
    assert_eq!(missing.status.code(), Some(78));
    insta::assert_snapshot!(err(&missing), @"missing.yaml:1:1: error: cannot read the file: it does not exist; `tidemark init` writes one");
}

#[test]
fn ready_fails_without_a_process() {
    let dir = initialised();
    let ready = tidemark(dir.path(), &["ready"]);
    assert_eq!(ready.status.code(), Some(1));
    assert!(err(&ready).contains("no tidemark runs on"), "{}", err(&ready));
}

#[test]
fn sample_shows_what_a_sampling_returns_and_stores_nothing() {
    let dir = initialised();
    let args = ["sample", "revenue", "--once", "--at", "2026-01-01T12:00:00Z", "-o", "json"];
    let output = tidemark(dir.path(), &args);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let sampled: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(sampled["start"], "2026-01-01T12:00:00Z");
    assert_eq!(sampled["end"], "2026-01-01T12:05:00Z");
    assert_eq!(sampled["samples"][0]["metric"], "revenue");
    assert!(!dir.path().join("tidemark-data").exists());
    let table = out(&tidemark(dir.path(), &["sample", "orders", "--once"]));
    assert!(table.contains("The source answers") || table.contains("there is nothing"), "{table}");
    let unknown = tidemark(dir.path(), &["sample", "ordres", "--once"]);
    assert_eq!(unknown.status.code(), Some(1));
    insta::assert_snapshot!(err(&unknown), @"error: unknown metric `ordres`, did you mean `orders`? (valid: orders, revenue)");
}

#[test]
fn without_a_process_reading_says_what_is_missing_and_changing_refuses() {
    let dir = initialised();
    let said = |args: &[&str]| {
        let output = tidemark(dir.path(), args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        err(&output).replace(dir.path().canonicalize().unwrap().to_str().unwrap(), "DIR")
    };
    let commands: [&[&str]; 6] = [
        &["metrics", "ls"],
        &["alerts", "ls"],
        &["explain", "9f86d081884c7d65-lq2x3c00"],
        &["backtest", "orders"],
        &["reload"],
        &["notify", "test", "--receiver", "ops"],
    ];
    let all: String = commands.into_iter().map(said).collect();
    insta::assert_snapshot!(all, @r#"
    error: nothing was stored in DIR/tidemark-data yet: start with `tidemark run`
    error: nothing was stored in DIR/tidemark-data yet: start with `tidemark run`
    error: nothing was stored in DIR/tidemark-data yet: start with `tidemark run`
    error: nothing was stored in DIR/tidemark-data yet: start with `tidemark run`
    error: no tidemark runs on DIR/tidemark-data: `tidemark reload` needs one, start it with `tidemark run`
    error: no tidemark runs on DIR/tidemark-data: `tidemark notify test` needs one, start it with `tidemark run`
    "#);
}

#[test]
fn usage_errors_exit_2() {
    let dir = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 6] = [
        &[],
        &["chek"],
        &["sample", "orders"],
        &["backtest", "orders", "--since", "yesterday"],
        &["check", "-o", "xml"],
        &["check", "--log-level", "=="],
    ];
    for args in commands {
        assert_eq!(tidemark(dir.path(), args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn tidemark_tells_of_itself() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = out(&tidemark(dir.path(), &["completions", shell]));
        assert!(script.contains("backtest"), "{shell}");
    }
    let schema: serde_json::Value = serde_json::from_str(&out(&tidemark(dir.path(), &["schema"]))).unwrap();
    assert!(schema["properties"]["metrics"]["description"].is_string());
    assert!(out(&tidemark(dir.path(), &["man"])).contains(".TH"));
    let pages = tidemark(dir.path(), &["man", "--dir", "man"]);
    assert_eq!(pages.status.code(), Some(0));
    for page in ["tidemark.1", "tidemark-check.1", "tidemark-notify-test.1"] {
        assert!(dir.path().join("man").join(page).exists(), "{page}");
    }
    assert!(out(&tidemark(dir.path(), &["--help"])).contains("Exit codes"));
}

#[test]
fn every_property_of_the_schema_is_described() {
    let dir = tempfile::tempdir().unwrap();
    let schema: serde_json::Value = serde_json::from_str(&out(&tidemark(dir.path(), &["schema"]))).unwrap();
    let described = |value: &serde_json::Value| {
        let target = value["$ref"].as_str().and_then(|target| schema.pointer(target.trim_start_matches('#')));
        value["description"].is_string() || target.is_some_and(|target| target["description"].is_string())
    };
    let mut bare = Vec::new();
    let mut objects: Vec<_> = schema["$defs"].as_object().unwrap().iter().collect();
    let root = "top".to_owned();
    objects.push((&root, &schema));
    for (name, object) in objects {
        for (key, value) in object["properties"].as_object().into_iter().flatten() {
            if !described(value) {
                bare.push(format!("{name}.{key}"));
            }
        }
    }
    assert_eq!(bare, Vec::<String>::new());
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidemark"))
        .arg("schema")
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), err(&output)), (Some(0), String::new()));
}

#[test]
fn the_environment_may_name_the_configuration() {
    let dir = initialised();
    fs::rename(dir.path().join("tidemark.yaml"), dir.path().join("other.yaml")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tidemark"))
        .arg("check")
        .current_dir(dir.path())
        .env("TIDEMARK_CONFIG", "other.yaml")
        .output()
        .unwrap();
    assert_eq!((output.status.code(), out(&output).starts_with("other.yaml is valid")), (Some(0), true));
}
