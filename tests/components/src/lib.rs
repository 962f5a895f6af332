//! Real servers for tests and benches, by `scripts/component`: on free loopback ports, each in a folder of its own.
//!
//! A server ends with the test process, however that ends: the script that runs it watches its standard input, which
//! this process holds; its folder goes with it. A component that is not installed is a failed test that says how to install it, never one that
//! is passed over.

pub mod grafana;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running server.
#[derive(Debug)]
pub struct Component {
    name: String,
    dir: PathBuf,
    details: BTreeMap<String, String>,
    script: Option<Child>,
}

impl Component {
    /// Starts a component of `scripts/components/` by its name and waits until it is healthy.
    ///
    /// # Panics
    /// When it is not installed or does not start, with its last words.
    pub fn start(name: &str) -> Self {
        let dir = fresh_dir(name);
        let mut component = Self { name: name.to_owned(), dir, details: BTreeMap::new(), script: None };
        component.launch(None);
        component
    }

    /// Its main port on 127.0.0.1; the same after [`Self::start_again`].
    pub fn port(&self) -> u16 {
        self.detail("port").parse().unwrap_or_else(|_| panic!("{} told no port", self.name))
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// Something it said of itself when it started, such as `pid`, `dir` or a token.
    ///
    /// # Panics
    /// When it said no such thing.
    pub fn detail(&self, key: &str) -> &str {
        let all = || self.details.keys().cloned().collect::<Vec<_>>().join(", ");
        self.details.get(key).unwrap_or_else(|| panic!("{} told no `{key}`, only {}", self.name, all()))
    }

    /// Whether it said such a thing.
    pub fn has_detail(&self, key: &str) -> bool {
        self.details.contains_key(key)
    }

    /// Its data folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Stops it in order; its data stay.
    pub fn stop(&mut self) {
        let Some(mut script) = self.script.take() else { return };
        if let Some(mut stdin) = script.stdin.take() {
            let _ = stdin.write_all(b"keep\n");
        }
        let _ = script.wait();
    }

    /// `kill -9`, at once; its data stay as they are.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        let group = format!("-{}", self.detail("pid"));
        let killed = Command::new("kill").args(["-KILL", "--", &group]).status();
        assert!(killed.is_ok_and(|status| status.success()), "cannot kill {}", self.name);
        self.stop();
    }

    /// Starts it again on the same port with the same data.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        self.stop();
        let port = self.port().to_string();
        self.launch(Some(&port));
    }

    fn launch(&mut self, port: Option<&str>) {
        let mut command = Command::new(script_path());
        command.args([&*self.name, "run", "--dir"]).arg(&self.dir);
        if let Some(port) = port {
            command.args(["--port", port]);
        }
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("cannot run scripts/component: {error}"));
        let Some(stdout) = child.stdout.take() else { panic!("scripts/component has no output") };
        let ready = self.read_details(BufReader::new(stdout));
        self.script = Some(child);
        assert!(
            ready,
            "{} did not start: see above, and `scripts/component {} install`",
            self.name, self.name
        );
    }

    fn read_details(&mut self, lines: impl BufRead) -> bool {
        for line in lines.lines().map_while(Result::ok) {
            match line.split_once('=') {
                Some((key, value)) => drop(self.details.insert(key.to_owned(), value.to_owned())),
                None if line == "ready" => return true,
                None => {}
            }
        }
        false
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn script_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/component")
}

/// A folder that a server which is not root can reach; tests of one process are told apart by a number.
fn fresh_dir(name: &str) -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("tidemark-{name}-{}-{number}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("cannot make {}: {error}", dir.display()));
    dir
}
