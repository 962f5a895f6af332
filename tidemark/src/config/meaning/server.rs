//! The sections `http`, `storage` and `calendar`.

use detector::Calendar;
use detector::settings::CalendarConfig;
use url::Url;

use super::{Checker, below};
use crate::config::http::HttpSection;
use crate::config::nearest::hint;
use crate::config::storage::StorageSection;

pub(super) fn check(checker: &mut Checker<'_>) {
    if let Some(http) = checker.typed(&["http"]) {
        check_http(checker, &http);
    }
    if let Some(storage) = checker.typed(&["storage"]) {
        check_storage(checker, &storage);
    }
    if let Some(calendar) = checker.typed(&["calendar"]) {
        check_calendar(checker, &calendar);
    }
}

fn check_http(checker: &mut Checker<'_>, http: &HttpSection) {
    let has_token = http.token.is_some() || http.token_file.is_some();
    match http.addresses() {
        Err(message) => checker.error(&["http", "listen"], message),
        Ok(_) if !http.is_loopback() && !has_token => {
            let message = format!(
                "`{}` can be reached from other machines: set `token` or `token_file`, or listen on 127.0.0.1",
                http.listen
            );
            checker.error(&["http", "listen"], message);
        }
        Ok(_) => {}
    }
    if http.token.is_some() && http.token_file.is_some() {
        checker.error(&["http", "token_file"], "`token` is given too: write one of them");
    }
    if http.token.as_ref().is_some_and(|token| token.expose().is_empty()) {
        checker.error(&["http", "token"], "the token is empty");
    }
    if let Some(url) = &http.external_url {
        let good =
            Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !good {
            let message =
                format!("`{url}` is no address for links: write for example https://tidemark.example.com");
            checker.error(&["http", "external_url"], message);
        }
    }
}

/// Every number is written once to each of them.
const MOST_REPLICAS: usize = 5;

fn check_storage(checker: &mut Checker<'_>, storage: &StorageSection) {
    let count = storage.replicas.len();
    if count > MOST_REPLICAS {
        let message = format!("{count} replicas: at most {MOST_REPLICAS}");
        checker.error(&["storage", "replicas", &MOST_REPLICAS.to_string()], message);
    }
    let names: Vec<&str> = storage.replicas.iter().map(|replica| replica.name()).collect();
    for (i, name) in names.iter().enumerate() {
        let path = ["storage".to_owned(), "replicas".to_owned(), i.to_string()];
        if names[..i].contains(name) {
            checker.error(&path, format!("replica `{name}` stands twice"));
        }
        for problem in storage.replicas[i].validate() {
            checker.error(&[&path[..], &problem.path].concat(), problem.message);
        }
    }
}

fn check_calendar(checker: &mut Checker<'_>, calendar: &CalendarConfig) {
    for problem in Calendar::from_config(calendar).err().unwrap_or_default() {
        checker.error(&below(&["calendar"], steps(&problem.path)), problem.message);
    }
    let known = super::metrics::full_names(checker);
    let promotions = calendar.promotions.iter().map(|entry| &entry.metrics);
    let excluded = calendar.excluded.iter().map(|entry| &entry.metrics);
    let lists = promotions.enumerate().map(|found| ("promotions", found));
    for (list, (i, metrics)) in lists.chain(excluded.enumerate().map(|found| ("excluded", found))) {
        for (j, name) in metrics.iter().enumerate() {
            let matched = name.strip_suffix('*').map_or_else(
                || known.iter().any(|have| have == name),
                |prefix| known.iter().any(|have| have.starts_with(prefix)),
            );
            if !matched {
                let valid: Vec<&str> = known.iter().map(String::as_str).collect();
                let path = ["calendar".into(), list.into(), i.to_string(), "metrics".into(), j.to_string()];
                checker.error::<String>(&path, format!("unknown metric `{name}`{}", hint(name, &valid)));
            }
        }
    }
}

/// `promotions[2].from` as steps.
fn steps(path: &str) -> Vec<String> {
    path.split(['.', '[', ']']).filter(|step| !step.is_empty()).map(str::to_owned).collect()
}
