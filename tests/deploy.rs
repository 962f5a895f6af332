//! What `docker-compose.yml` deploys, without containers: its business in a real PostgreSQL, its configuration read by
//! the real binary, its passwords made by its own script.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, unreachable_pub, reason = "every test binary uses a part of it")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use components::Component;
use support::{binary, write};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn file(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

fn succeeds(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&stderr));
    said
}

/// What `deploy/make-env` writes, in a folder that looks like a fresh clone.
fn made_env() -> BTreeMap<String, String> {
    let clone = tempfile::tempdir().unwrap();
    let deploy = clone.path().join("deploy");
    std::fs::create_dir(&deploy).unwrap();
    std::fs::copy(repository().join("deploy/make-env"), deploy.join("make-env")).unwrap();
    let run = || {
        let mut command = Command::new("sh");
        command.arg(deploy.join("make-env"));
        command
    };
    succeeds(&mut run());
    let text = std::fs::read_to_string(clone.path().join(".env")).unwrap();
    let again = run().output().unwrap();
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("stay"), "{again:?}");
    text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// The names of `${NAME..}` in a text.
fn names_used(text: &str) -> BTreeSet<String> {
    let after = text.split("${").skip(1);
    after.map(|rest| rest.split([':', '}']).next().unwrap().to_owned()).collect()
}

#[test]
fn every_password_is_made_and_every_one_made_is_used() {
    let made = made_env();
    assert_eq!(made.keys().cloned().collect::<BTreeSet<_>>(), names_used(&file("docker-compose.yml")));
    assert!(names_used(&file("deploy/tidemark.yaml")).iter().all(|name| made.contains_key(name)));
    assert!(made.values().all(|value| value.len() == 48), "random");
    assert_eq!(made.values().collect::<BTreeSet<_>>().len(), made.len(), "each its own");
}

#[test]
fn the_demo_business_is_sampled_as_configured() {
    let (dir, server, env) = (tempfile::tempdir().unwrap(), Component::start("postgres"), made_env());
    let psql = |arguments: &[&str]| {
        let mut command = Command::new("psql");
        command.args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", &server.port().to_string()]);
        succeeds(command.args(["-U", "postgres"]).args(arguments))
    };
    psql(&["-c", "CREATE DATABASE business"]);
    let schema = repository().join("deploy/postgres/01-schema.sql");
    psql(&["-d", "business", "-f", schema.to_str().unwrap()]);
    let mut reader = Command::new(repository().join("deploy/postgres/02-reader.sh"));
    reader.envs([("PGHOST", "127.0.0.1"), ("PGPORT", &server.port().to_string())]);
    reader.envs([("POSTGRES_USER", "postgres"), ("POSTGRES_DB", "business")]);
    succeeds(reader.env("READER_PASSWORD", &env["BUSINESS_PASSWORD"]));
    let minutes = psql(&["-d", "business", "-c", "SELECT business_catch_up()"]);
    assert!(minutes.trim().parse::<i32>().unwrap() >= 60, "an hour of history: {minutes}");
    // At night a minute may bring nothing: one of each in this minute, the one before and the next.
    let ats = "SELECT date_trunc('minute', now()) + s * interval '30 seconds' AS at FROM generate_series(-1, 3, 2) s";
    for (table, values) in [
        ("registrations (created_at, channel)", "at, 'app'"),
        ("orders (created_at, channel, amount)", "at, 'app', 100"),
        ("applications (created_at, channel, passed)", "at, 'app', true"),
        ("repayments (created_at, amount)", "at, 100"),
    ] {
        psql(&["-d", "business", "-c", &format!("INSERT INTO {table} SELECT {values} FROM ({ats}) minutes")]);
    }

    let here = format!("host: 127.0.0.1, port: {}", server.port());
    let text =
        file("deploy/tidemark.yaml").replace("host: postgres", &here).replace("/var/lib/tidemark", "data");
    write(dir.path(), "tidemark.yaml", &text);
    let tidemark = |arguments: &[&str]| {
        succeeds(Command::new(binary()).args(arguments).current_dir(dir.path()).envs(&env))
    };
    tidemark(&["check"]);
    for metric in ["registrations", "sales", "pass_rate", "repayments"] {
        let sampled = tidemark(&["sample", metric, "--once", "-o", "ndjson"]);
        assert!(sampled.lines().count() > 0 && sampled.contains("\"value\""), "{metric}: {sampled}");
    }
    let refused =
        psql(&["-d", "business", "-c", "SELECT has_table_privilege('tidemark', 'orders', 'INSERT')"]);
    assert_eq!(refused.trim(), "f", "the reader may only read");
}
