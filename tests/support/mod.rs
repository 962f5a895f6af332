//! What black-box tests share: the real binary, fake providers with ledgers, and waiting for a state with a deadline.

pub mod accept;
pub mod fake_api;
pub mod fake_smtp;
pub mod fake_twilio;
pub mod fake_webhook;
pub mod influx;
pub mod ledger;
pub mod level;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Long enough for a loaded machine; a state that has not come by then never will.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until `look` gives something; panics naming `what` after the deadline.
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_for_within(DEADLINE, what, look)
}

/// The same with a deadline of one's own.
pub fn wait_for_within<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = now() + deadline;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < end, "{what} did not come within {deadline:?}");
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "deadlines of black-box tests are real")]
fn now() -> Instant {
    Instant::now()
}

/// Lets the other processes run between two looks at a state; no result depends on how long it is.
fn pause() {
    let lock = Mutex::new(());
    let guard = lock.lock().unwrap();
    drop(Condvar::new().wait_timeout(guard, Duration::from_millis(20)).unwrap());
}

/// The binary under test.
pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_tidemark")
}

/// A port nobody listens on just now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs a command of the binary to its end.
pub fn tidemark(dir: &Path, args: &[&str]) -> Output {
    Command::new(binary()).args(args).current_dir(dir).stdin(Stdio::null()).output().unwrap()
}

/// A running `tidemark`; killed when dropped.
pub struct Running {
    child: Child,
    /// What it wrote on stderr so far.
    pub stderr: Arc<Mutex<String>>,
    /// What it wrote on stdout so far.
    pub stdout: Arc<Mutex<String>>,
}

impl Running {
    /// Starts the binary with these arguments in a folder.
    pub fn start(dir: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(binary())
            .args(args)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        Self { child, stderr, stdout }
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, at once.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(status.success(), "kill -{name} failed");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the end of the process", || self.child.try_wait().unwrap())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Everything it said, for a failed assertion.
    pub fn said(&self) -> String {
        format!("stdout:\n{}\nstderr:\n{}", self.stdout.lock().unwrap(), self.stderr.lock().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("what the process {} said:\n{}", self.pid(), self.said());
        }
    }
}

fn collect(stream: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&text);
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            sink.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    text
}

/// One HTTP/1.1 request; status and body. `None` when nobody answers.
pub fn http(
    method: &str,
    address: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Some((status, if chunked { unchunk(body) } else { body.to_owned() }))
}

fn unchunk(mut rest: &str) -> String {
    let mut whole = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || after.len() < size {
            break;
        }
        whole.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    whole
}

/// GET; the body of a 200.
pub fn get(address: &str, path: &str) -> Option<String> {
    http("GET", address, path, &[], "").filter(|(status, _)| *status == 200).map(|(_, body)| body)
}

/// The address of the process that runs on this data folder, once it is ready.
pub fn ready_address(data_dir: &Path) -> String {
    wait_for("a ready process", || {
        let note: serde_json::Value =
            serde_json::from_slice(&fs::read(data_dir.join("process.json")).ok()?).ok()?;
        let address = note["address"].as_str()?.to_owned();
        get(&address, "/readyz").map(|_| address)
    })
}

/// Writes a file and gives its path.
pub fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path
}
