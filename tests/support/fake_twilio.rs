//! Twilio as its documentation describes it: authentication, parameters, errors and lists checked, a ledger of what was
//! taken, and bad behaviour on request. Stands on the standard library, so that black-box tests and the notifier's own
//! suite use this one.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

use super::accept::{accept, listen};

/// The account there is.
pub const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
/// Its token.
pub const TOKEN: &str = "hunter2-token-of-the-account";
/// An API key of it.
pub const API_KEY: &str = "SK0123456789abcdef0123456789abcdef";
/// The key's secret.
pub const API_SECRET: &str = "hunter2-secret-of-the-key";
/// The number it owns.
pub const FROM: &str = "+14155550100";
/// A number that has said STOP.
pub const UNSUBSCRIBED: &str = "+14155550111";
/// A number that takes no SMS.
pub const LANDLINE: &str = "+14155550122";

/// How it treats one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As documented.
    Good,
    /// 429 with `Retry-After` in seconds.
    TooMany(u32),
    /// 500, and the message is not taken.
    Breaks,
    /// 500, but the message is taken.
    BreaksAfterTaking,
    /// Reads the request, takes nothing, closes without a word.
    HangsUpBeforeTaking,
    /// Takes the message and closes without a word.
    HangsUpAfterTaking,
    /// Takes nothing and never answers.
    SilentBeforeTaking,
    /// Takes the message and never answers.
    SilentAfterTaking,
    /// Takes the message and breaks its answer off.
    Truncates,
    /// 200 with something else than JSON; takes nothing.
    Rubbish,
    /// 302 to somewhere else; takes nothing.
    Redirects,
}

/// A request it got.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `GET` or `POST`.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// Query or form, decoded, in order.
    pub form: Vec<(String, String)>,
    /// Headers, lower-case names.
    pub headers: Vec<(String, String)>,
}

impl Asked {
    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A message or call it took: what its resource says, and the form it came with.
#[derive(Clone, Debug)]
pub struct Taken {
    /// `Messages` or `Calls`.
    pub list: String,
    /// The resource.
    pub resource: Value,
    /// The form.
    pub form: Vec<(String, String)>,
}

impl Taken {
    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Its id.
    pub fn sid(&self) -> &str {
        self.resource["sid"].as_str().unwrap()
    }
}

#[derive(Default)]
struct State {
    taken: Vec<Taken>,
    asked: Vec<Asked>,
    moods: VecDeque<Mood>,
    always: Option<Mood>,
    now_secs: Option<i64>,
    page_size: Option<usize>,
}

/// The fake.
#[derive(Clone)]
pub struct FakeTwilio {
    /// Its port.
    pub port: u16,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl FakeTwilio {
    /// Starts it on a free port, behaving well.
    pub fn start() -> Self {
        let (listener, port) = listen();
        let fake = Self { port, state: Arc::default() };
        accept(listener, &fake, Self::serve);
        fake
    }

    /// Where its API is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its clock: without this the machine's.
    pub fn set_now(&self, secs: i64) {
        self.lock().now_secs = Some(secs);
    }

    /// How it treats the next requests that would make something, one each; then it is good again.
    pub fn next(&self, moods: &[Mood]) {
        self.lock().moods.extend(moods);
    }

    /// How it treats every request, lists among them, from now on; `Good` ends it.
    pub fn always(&self, mood: Mood) {
        self.lock().always = Some(mood).filter(|mood| *mood != Mood::Good);
    }

    /// How many entries a page of a list holds at most.
    pub fn page_size(&self, entries: usize) {
        self.lock().page_size = Some(entries);
    }

    /// Everything it took, whatever it answered.
    pub fn taken(&self) -> Vec<Taken> {
        self.lock().taken.clone()
    }

    /// The messages (`Messages`) or calls (`Calls`) it took.
    pub fn of(&self, list: &str) -> Vec<Taken> {
        self.taken().into_iter().filter(|taken| taken.list == list).collect()
    }

    /// Every request it got.
    pub fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    /// Puts something into its lists that nobody here posted.
    pub fn plant(&self, list: &str, form: &[(&str, &str)]) -> Taken {
        let form: Vec<(String, String)> =
            form.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.take(list, &form)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap()
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        loop {
            let asked = read_request(&mut reader)?;
            let mood = self.mood(&asked);
            self.lock().asked.push(asked.clone());
            match mood {
                Mood::HangsUpBeforeTaking => return None,
                Mood::SilentBeforeTaking => return self.stay_silent(&stream),
                _ => {}
            }
            let answer = self.answer(&asked, mood);
            match mood {
                Mood::HangsUpAfterTaking => return None,
                Mood::SilentAfterTaking => return self.stay_silent(&stream),
                Mood::Truncates => {
                    let whole = answer.write(self.now());
                    stream.write_all(&whole.as_bytes()[..whole.len() - answer.body.len() / 2]).ok()?;
                    return None;
                }
                _ => stream.write_all(answer.write(self.now()).as_bytes()).ok()?,
            }
        }
    }

    fn mood(&self, asked: &Asked) -> Mood {
        let mut state = self.lock();
        if let Some(always) = state.always {
            return always;
        }
        if asked.method == "POST" { state.moods.pop_front().unwrap_or(Mood::Good) } else { Mood::Good }
    }

    /// Until the guest goes.
    fn stay_silent(&self, stream: &TcpStream) -> Option<()> {
        let mut rest = [0; 64];
        let mut stream = stream.try_clone().ok()?;
        while stream.read(&mut rest).ok()? > 0 {}
        None
    }

    fn answer(&self, asked: &Asked, mood: Mood) -> Answer {
        match mood {
            Mood::TooMany(after) => {
                let mut answer = refusal(429, 20429, "Too Many Requests");
                answer.retry_after = Some(after);
                return answer;
            }
            Mood::Breaks => return refusal(500, 20500, "An internal server error has occurred"),
            Mood::Rubbish => return Answer::new(200, "<html>hello</html>".to_owned()),
            Mood::Redirects => {
                let mut answer = Answer::new(302, String::new());
                answer.location = Some(format!("{}/elsewhere", self.url()));
                return answer;
            }
            _ => {}
        }
        let answer = self.good_answer(asked);
        if mood == Mood::BreaksAfterTaking {
            return refusal(500, 20500, "An internal server error has occurred");
        }
        answer
    }

    fn good_answer(&self, asked: &Asked) -> Answer {
        if !is_authenticated(asked) {
            return refusal(401, 20003, "Authenticate");
        }
        let Some(rest) = asked.path.strip_prefix(&format!("/2010-04-01/Accounts/{ACCOUNT}")) else {
            return refusal(404, 20404, "The requested resource was not found");
        };
        match (asked.method.as_str(), rest) {
            ("GET", ".json") => Answer::new(200, json!({"sid": ACCOUNT, "status": "active"}).to_string()),
            ("GET", "/Messages.json") => self.list("Messages", "DateSent>", asked),
            ("GET", "/Calls.json") => self.list("Calls", "StartTime>", asked),
            ("POST", "/Messages.json") => self.make("Messages", check_message(asked), asked),
            ("POST", "/Calls.json") => self.make("Calls", check_call(asked), asked),
            _ => refusal(404, 20404, "The requested resource was not found"),
        }
    }

    fn make(&self, list: &str, refused: Option<(u16, i64, String)>, asked: &Asked) -> Answer {
        match refused {
            Some((status, code, message)) => refusal(status, code, &message),
            None => Answer::new(201, self.take(list, &asked.form).resource.to_string()),
        }
    }

    fn take(&self, list: &str, form: &[(String, String)]) -> Taken {
        let get = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let now = rfc2822(self.now());
        let mut state = self.lock();
        let number = state.taken.len() + 1;
        let common = json!({
            "account_sid": ACCOUNT, "api_version": "2010-04-01", "date_created": now, "date_updated": now,
            "direction": "outbound-api", "from": get("From"), "to": get("To"), "price": null, "price_unit": "USD",
        });
        let mut resource = common;
        let more = if list == "Messages" {
            let service = get("MessagingServiceSid");
            let status = if service.is_some() { "accepted" } else { "queued" };
            json!({"sid": format!("SM{number:032x}"), "body": get("Body"), "status": status, "num_segments": "1", "num_media": "0",
                "messaging_service_sid": service, "error_code": null, "error_message": null, "date_sent": null})
        } else {
            json!({"sid": format!("CA{number:032x}"), "status": "queued", "start_time": null, "end_time": null, "duration": null})
        };
        for (key, value) in more.as_object().unwrap() {
            resource[key] = value.clone();
        }
        let taken = Taken { list: list.to_owned(), resource, form: form.to_vec() };
        state.taken.push(taken.clone());
        self.state.1.notify_all();
        taken
    }

    /// The newest first; what has no time of sending yet is only in the list without that filter.
    fn list(&self, list: &str, since: &str, asked: &Asked) -> Answer {
        let state = self.lock();
        let stamp = if list == "Messages" { "date_sent" } else { "start_time" };
        let fits = |taken: &&Taken| {
            taken.list == list
                && asked.get("To").is_none_or(|to| taken.resource["to"] == to)
                && (asked.get(since).is_none() || !taken.resource[stamp].is_null())
        };
        let all: Vec<&Taken> = state.taken.iter().rev().filter(fits).collect();
        let wanted = asked.get("PageSize").and_then(|size| size.parse().ok()).unwrap_or(50);
        let size = state.page_size.unwrap_or(1_000).min(wanted);
        let page: usize = asked.get("Page").and_then(|page| page.parse().ok()).unwrap_or(0);
        let shown: Vec<&Value> =
            all.iter().skip(page * size).take(size).map(|taken| &taken.resource).collect();
        let query = |page: usize| {
            let kept = asked
                .form
                .iter()
                .filter(|(name, _)| name != "Page")
                .map(|(n, v)| format!("{}={}&", encode(n), encode(v)));
            format!("/2010-04-01/Accounts/{ACCOUNT}/{list}.json?{}Page={page}", kept.collect::<String>())
        };
        let next = (all.len() > (page + 1) * size).then(|| query(page + 1));
        let mut body = json!({"page": page, "page_size": size, "next_page_uri": next, "uri": query(page)});
        body[list.to_lowercase()] = json!(shown);
        Answer::new(200, body.to_string())
    }

    /// Says that what was taken has gone out: it gets its time of sending.
    pub fn send_out(&self) {
        let now = rfc2822(self.now());
        for taken in &mut self.lock().taken {
            let (stamp, status) =
                if taken.list == "Messages" { ("date_sent", "sent") } else { ("start_time", "in-progress") };
            taken.resource[stamp] = json!(now);
            taken.resource["status"] = json!(status);
        }
    }

    /// Says that what was taken did not and will not go out, with this error.
    pub fn give_up(&self, code: i64) {
        for taken in &mut self.lock().taken {
            taken.resource["status"] = json!("failed");
            taken.resource["error_code"] = json!(code);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "stands for another company's clock")]
    fn now(&self) -> i64 {
        let real =
            || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let now = self.lock().now_secs;
        now.unwrap_or_else(|| real().as_secs().cast_signed())
    }
}

/// The signature of a request the provider makes: over the address and the form in order of name.
pub fn sign(url: &str, form: &[(&str, &str)]) -> String {
    let mut sorted = form.to_vec();
    sorted.sort_unstable();
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(TOKEN.as_bytes()).unwrap();
    mac.update(url.as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

/// A form as a body.
pub fn encode_form(form: &[(&str, &str)]) -> String {
    form.iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

struct Answer {
    status: u16,
    body: String,
    retry_after: Option<u32>,
    location: Option<String>,
}

impl Answer {
    fn new(status: u16, body: String) -> Self {
        Self { status, body, retry_after: None, location: None }
    }

    fn write(&self, now_secs: i64) -> String {
        let mut head = format!(
            "HTTP/1.1 {} X\r\ncontent-type: application/json\r\ndate: {}\r\ncontent-length: {}\r\n",
            self.status,
            rfc2822(now_secs),
            self.body.len()
        );
        if let Some(after) = self.retry_after {
            head.push_str(&format!("retry-after: {after}\r\n"));
        }
        if let Some(location) = &self.location {
            head.push_str(&format!("location: {location}\r\n"));
        }
        format!("{head}\r\n{}", self.body)
    }
}

fn refusal(status: u16, code: i64, message: &str) -> Answer {
    let more = format!("https://www.twilio.com/docs/errors/{code}");
    let body = json!({"code": code, "message": message, "more_info": more, "status": status});
    Answer::new(status, body.to_string())
}

fn is_authenticated(asked: &Asked) -> bool {
    let given =
        asked.headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.clone());
    let good =
        |name: &str, password: &str| format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
    given.is_some_and(|given| given == good(ACCOUNT, TOKEN) || given == good(API_KEY, API_SECRET))
}

/// What of a message is wrong, in the order in which the provider looks.
fn check_message(asked: &Asked) -> Option<(u16, i64, String)> {
    let no = |code, message: String| Some((400, code, message));
    let (to, body) = (asked.get("To").unwrap_or_default(), asked.get("Body").unwrap_or_default());
    let service = asked.get("MessagingServiceSid");
    if to.is_empty() {
        return no(21604, "A 'To' phone number is required.".to_owned());
    }
    if !is_number(to) {
        return no(21211, format!("The 'To' number {to} is not a valid phone number."));
    }
    match asked.get("From") {
        None if service.is_none() => return no(21603, "A 'From' phone number is required.".to_owned()),
        Some(from) if from != FROM => {
            return no(
                21606,
                format!("The From phone number {from} is not a valid, SMS-capable phone number."),
            );
        }
        _ => {}
    }
    if service.is_some_and(|sid| !sid.starts_with("MG") || sid.len() != 34) {
        return no(21701, "The Messaging Service does not exist.".to_owned());
    }
    if body.is_empty() {
        return no(21602, "Message body is required.".to_owned());
    }
    if body.chars().count() > 1_600 {
        return no(21617, "The concatenated message body exceeds the 1600 character limit.".to_owned());
    }
    match to {
        UNSUBSCRIBED => no(21610, "Attempt to send to unsubscribed recipient".to_owned()),
        LANDLINE => no(21614, format!("'To' number {to} is not a valid mobile number")),
        _ => None,
    }
}

/// The same of a call.
fn check_call(asked: &Asked) -> Option<(u16, i64, String)> {
    let no = |code, message: String| Some((400, code, message));
    let (to, script) = (asked.get("To").unwrap_or_default(), asked.get("Twiml"));
    if to.is_empty() {
        return no(21201, "No 'To' number is specified".to_owned());
    }
    if !is_number(to) {
        return no(21211, format!("The phone number you are attempting to call, {to}, is not valid."));
    }
    match asked.get("From") {
        None => return no(21213, "Missing required parameter From in the post body".to_owned()),
        Some(from) if from != FROM => {
            return no(21210, format!("The source phone number provided, {from}, is not yet verified"));
        }
        Some(_) => {}
    }
    match script {
        None => no(21205, "Url parameter is required.".to_owned()),
        Some(script) if script.chars().count() > 4_000 => no(21218, "Twiml is too long.".to_owned()),
        Some(script) if !is_script(script) => no(12100, "Document parse failure".to_owned()),
        Some(_) => None,
    }
}

/// Whether the elements of a script are closed in order, and every `&` begins an entity.
fn is_script(script: &str) -> bool {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = script.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").unwrap_or(script);
    while let Some(start) = rest.find('<') {
        let text = &rest[..start];
        let entities = ["&amp;", "&lt;", "&gt;", "&quot;", "&apos;"];
        if text
            .match_indices('&')
            .any(|(at, _)| !entities.iter().any(|entity| text[at..].starts_with(entity)))
        {
            return false;
        }
        let Some(end) = rest[start..].find('>') else { return false };
        let tag = &rest[start + 1..start + end];
        match tag.strip_prefix('/') {
            Some(name) if open.pop() != Some(name) => return false,
            Some(_) => {}
            None if tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().unwrap_or_default()),
        }
        rest = &rest[start + end + 1..];
    }
    open.is_empty() && rest.is_empty() && script.contains("<Response>")
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, n)| n.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let encoded = if method == "GET" { query.to_owned() } else { String::from_utf8(body).ok()? };
    Some(Asked { method, path: path.to_owned(), form: decode_form(&encoded), headers })
}

fn decode_form(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut at, mut out) = (0, Vec::new());
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (bytes[at], hex) {
            (b'+', _) => out.push(b' '),
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    text.bytes()
        .map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// `Mon, 02 Mar 2026 08:00:02 +0000`, as the provider writes times.
fn rfc2822(secs: i64) -> String {
    chrono::DateTime::from_timestamp(secs, 0)
        .unwrap_or_default()
        .format("%a, %d %b %Y %H:%M:%S +0000")
        .to_string()
}
