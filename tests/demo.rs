//! `tidemark demo` as a stranger sees it: in a real Chromium.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, unreachable_pub, reason = "every test binary uses a part of it")]
mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{Running, ready_address, wait_for_within};

/// The debug build takes the history in far slower than what people run.
const HISTORY: Duration = Duration::from_secs(300);

fn start(folder: &Path) -> Running {
    let folder = folder.to_str().unwrap();
    Running::start(Path::new("."), &["demo", "--listen", "127.0.0.1:0", "--data-dir", folder])
}

/// What the page holds once its scripts have run.
fn page(url: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
                 --disable-component-update --disable-sync --virtual-time-budget=5000 --dump-dom";
    let output = Command::new("chromium")
        .args(flags.split_whitespace())
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .stderr(Stdio::null())
        .output()
        .expect("chromium is installed: scripts/test install");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_demo_finds_its_first_mishap_and_its_page_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = start(dir.path());
    let address = support::wait_for("the demo's page", || {
        assert!(demo.is_running(), "{}", demo.said());
        dir.path().join("data/process.json").exists().then(|| ready_address(&dir.path().join("data")))
    });
    wait_for_within(HISTORY, "the first alert", || {
        assert!(demo.is_running(), "{}", demo.said());
        let alerts = support::get(&address, "/api/v1/alerts?state=firing")?;
        alerts.contains(r#""metric":"orders""#).then_some(())
    });
    let english = support::wait_for("the alert on the page", || {
        Some(page(&format!("http://{address}/?lang=en"))).filter(|dom| dom.contains("below the expected"))
    });
    for wanted in ["Orders", "Logins", "Credit pass rate", "Firing", "<svg"] {
        assert!(english.contains(wanted), "the page lacks {wanted}");
    }
    let chinese = page(&format!("http://{address}/?lang=zh"));
    assert!(
        chinese.contains("lang=\"zh-CN\"") && chinese.contains("告警"),
        "the Chinese page speaks no Chinese"
    );

    demo.signal("INT");
    assert!(demo.wait().success(), "{}", demo.said());

    let mut again = start(dir.path());
    ready_address(&dir.path().join("data"));
    again.signal("TERM");
    assert!(again.wait().success(), "{}", again.said());
}
