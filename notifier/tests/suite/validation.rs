//! Every mistake in a configuration is found, each with its place.

use notifier::config::{ChannelConfig, ReceiverConfig};
use notifier::{NotifierConfig, validate};
use serde_json::{Value, json};

use crate::bench::config;

fn said(config: &NotifierConfig) -> String {
    validate(config)
        .iter()
        .map(|p| format!("{}: {}", p.path.join("."), p.message))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn routes() {
    let route = json!({
        "matchers": ["a=\"b\""], "mute_time_intervals": ["night"], "continue": true, "repeat_interval": "0s",
        "routes": [
            {"receiver": "opps", "group_by": ["...", "a"], "matchers": ["severity"]},
            {"group_by": ["a-b", "x", "x"], "active_time_intervals": ["nihgt"],
             "routes": [{"matchers": ["a=~\"(\""], "group_interval": "0"}]},
        ],
    });
    let intervals =
        json!([{"name": "night", "time_intervals": [{"weekdays": ["someday"]}]}, {"name": "day"}]);
    let config = config(&["ops", "ops", "chat"], route, json!({"time_intervals": intervals}));
    insta::assert_snapshot!(said(&config), @r##"
    receivers.1.name: receiver `ops` stands twice: it is receivers[0] too
    time_intervals.0.time_intervals.0.weekdays.0: `someday` is not a day of the week (sunday to saturday)
    route: the root route must name a receiver
    route.matchers: the root route takes every alert: it has no matchers
    route.mute_time_intervals: the root route cannot be muted
    route.continue: the root route has no siblings to continue with
    route.repeat_interval: repeat_interval cannot be zero
    route.routes.0.matchers.0: `severity` is not a matcher: no operator (=, !=, =~, !~) follows the label name; write for example severity="P0", team!="risk", channel=~"app|web"
    route.routes.0.receiver: unknown receiver `opps`, valid: ops, ops, chat
    route.routes.0.group_by: `...` means every label: name no other beside it
    route.routes.1.group_by.0: `a-b` is not a label name: letters, digits and `_`, not starting with a digit
    route.routes.1.group_by.2: label `x` stands twice in group_by
    route.routes.1.active_time_intervals.0: unknown time interval `nihgt`, valid: day, night
    route.routes.1.routes.0.matchers.0: `(` is not a regular expression: unclosed group
    route.routes.1.routes.0.group_interval: group_interval cannot be zero
    "##);
}

#[test]
fn names_nobody_knows_come_with_those_somebody_does() {
    let config = config(&["ops", "chat"], json!({"receiver": "opps"}), json!({}));
    let problems = validate(&config);
    assert_eq!(problems[0].path, ["route", "receiver"]);
    assert_eq!(problems[0].unknown.as_deref(), Some("opps"));
    assert_eq!(problems[0].valid, ["ops", "chat"]);
}

#[test]
fn inhibition_without_matchers_would_silence_everything() {
    let rules = json!([{"source_matchers": ["a=b"]}, {"source_matchers": ["="], "target_matchers": ["c=d"]}]);
    let config = config(&["ops"], json!({"receiver": "ops"}), json!({"inhibit_rules": rules}));
    insta::assert_snapshot!(said(&config), @r##"
    inhibit_rules.0: target_matchers is missing: a rule without it would silence everything
    inhibit_rules.1.source_matchers.0: `=` is not a matcher: it does not begin with a label name; write for example severity="P0", team!="risk", channel=~"app|web"
    "##);
}

fn with_channel(channel: Value) -> NotifierConfig {
    let channel: ChannelConfig = serde_json::from_value(channel).unwrap();
    let mut config = config(&["ops"], json!({"receiver": "ops"}), json!({}));
    config.receivers = vec![ReceiverConfig { channels: vec![channel], ..config.receivers.remove(0) }];
    config
}

#[test]
fn channels() {
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let ac = "AC0123456789abcdef0123456789abcdef";
    let channels = [
        json!({"email": {"to": []}}),
        json!({"email": {"to": ["nobody", "ops@example.com"], "from": "x", "host": ""}}),
        json!({"email": {"to": ["a@b.cc"], "username": "u"}}),
        json!({"email": {"to": ["a@b.cc"], "host": "mail.example.com", "tls": "none", "username": "u", "password": "hunter2"}}),
        json!({"email": {"to": ["a@b.cc"], "username": "u", "password": "hunter2", "password_file": "/x"}}),
        json!({"webhook": {"url": "ftp://secret.example.com/hunter2", "secret": key}}),
        json!({"webhook": {"url": "https://example.com"}}),
        json!({"webhook": {"url": "https://example.com", "secret": "hunter2"}}),
        json!({"webhook": {"url": "https://example.com", "secret": key, "secret_file": "/x", "timeout": "0s"}}),
        json!({"webhook": {"url": "https://example.com", "secret": key, "headers": {"a b": "hunter2"}}}),
        json!({"webhook": {"url": "https://example.com", "secret": key, "headers": {"a": "hunter2\n"}}}),
        json!({"twilio_sms": {"to": [], "account_sid": "AC1"}}),
        json!({"twilio_sms": {"to": ["13800138000", "+8613800138000", "+8613800138000"], "account_sid": ac, "auth_token": "hunter2",
            "auth_token_file": "/x", "from": "+14155550100", "messaging_service_sid": "MG1", "max_segments": 11, "timeout": "0s"}}),
        json!({"twilio_sms": {"to": ["+8613800138000"], "account_sid": ac, "api_key_sid": "SK1", "from": "0138"}}),
        json!({"twilio_sms": {"to": ["+8613800138000"], "account_sid": ac, "api_key_sid": "SK1", "api_key_secret": "hunter2",
            "api_key_secret_file": "/x", "messaging_service_sid": "MG1", "url": "ftp://x", "max_segments": 0}}),
        json!({"twilio_call": {"to": ["+8613800138000"], "account_sid": ac, "auth_token": "hunter2", "from": "Tidemark",
            "url": "http://proxy.example.com", "voice": "<x>"}}),
        json!({"twilio_sms": {"to": ["+8613800138000"], "account_sid": ac, "auth_token": "hunter2", "from": "Tidemark"}}),
        json!({"twilio_call": {"to": ["+8613800138000"], "account_sid": ac, "auth_token_file": "/run/secrets/twilio", "from": "+14155550100"}}),
        json!({"email": {"to": ["Ops <ops@example.com>"]}}),
        json!({"webhook": {"url": "https://example.com/x", "secret_file": "/run/secrets/hook"}}),
    ];
    let all: Vec<String> = channels.into_iter().map(|channel| said(&with_channel(channel))).collect();
    let text = all.join("\n");
    assert!(!text.contains("hunter2"), "a secret is shown: {text}");
    insta::assert_snapshot!(text, @r##"
    receivers.0.channels.0.email.to: e-mail needs at least one recipient
    receivers.0.channels.0.email.to.0: `nobody` is not a mail address: write ops@example.com or Ops <ops@example.com>
    receivers.0.channels.0.email.from: `x` is not a mail address: write ops@example.com or Ops <ops@example.com>
    receivers.0.channels.0.email.host: host of the SMTP server is empty
    receivers.0.channels.0.email: username and password (or password_file) go together
    receivers.0.channels.0.email.tls: a password is not sent without encryption: use starttls or tls
    receivers.0.channels.0.email.password_file: give password or password_file, not both
    receivers.0.channels.0.webhook.url: url is not an absolute http or https address
    receivers.0.channels.0.webhook: secret or secret_file is missing: the key must be `whsec_` and the base64 of 24 to 64 random bytes
    receivers.0.channels.0.webhook.secret: the key must be `whsec_` and the base64 of 24 to 64 random bytes
    receivers.0.channels.0.webhook.secret_file: give secret or secret_file, not both
    receivers.0.channels.0.webhook.timeout: timeout must be above zero
    receivers.0.channels.0.webhook.headers: `a b` is not a header name
    receivers.0.channels.0.webhook.headers: the value of header `a` holds characters a header cannot
    receivers.0.channels.0.twilio_sms.to: at least one phone number is needed
    receivers.0.channels.0.twilio_sms.account_sid: an account_sid is `AC` and 32 hex digits
    receivers.0.channels.0.twilio_sms: auth_token (or auth_token_file) is missing, or an api_key_sid and its api_key_secret
    receivers.0.channels.0.twilio_sms: from or messaging_service_sid is missing
    receivers.0.channels.0.twilio_sms.to.0: `13800138000` is not a phone number in E.164: write + and the country, such as +8613800138000
    receivers.0.channels.0.twilio_sms.to.2: `+8613800138000` stands twice
    receivers.0.channels.0.twilio_sms.auth_token_file: give auth_token or auth_token_file, not both
    receivers.0.channels.0.twilio_sms.timeout: timeout must be above zero
    receivers.0.channels.0.twilio_sms.messaging_service_sid: give from or messaging_service_sid, not both
    receivers.0.channels.0.twilio_sms.max_segments: max_segments must be 1 to 10
    receivers.0.channels.0.twilio_sms: api_key_sid and api_key_secret (or api_key_secret_file) go together
    receivers.0.channels.0.twilio_sms.api_key_sid: an api_key_sid is `SK` and 32 hex digits
    receivers.0.channels.0.twilio_sms.from: `0138` is not a phone number in E.164, such as +14155550100
    receivers.0.channels.0.twilio_sms.api_key_secret_file: give api_key_secret or api_key_secret_file, not both
    receivers.0.channels.0.twilio_sms.api_key_sid: an api_key_sid is `SK` and 32 hex digits
    receivers.0.channels.0.twilio_sms.url: url is not the plain http or https address of an API
    receivers.0.channels.0.twilio_sms.messaging_service_sid: a messaging_service_sid is `MG` and 32 hex digits
    receivers.0.channels.0.twilio_sms.max_segments: max_segments must be 1 to 10
    receivers.0.channels.0.twilio_call.url: a password is not sent without encryption: use https
    receivers.0.channels.0.twilio_call.from: `Tidemark` is not a phone number in E.164, such as +14155550100
    receivers.0.channels.0.twilio_call.voice: a voice is a name such as Polly.Joanna
    "##);
}

#[test]
fn secrets_are_in_no_formatter() {
    let url = "https://example.com/hunter2";
    let hook =
        json!({"webhook": {"url": url, "secret": "whsec_hunter2", "headers": {"Authorization": "hunter2"}}});
    let mail = json!({"email": {"to": ["a@b.cc"], "username": "u", "password": "hunter2"}});
    let sms = json!({"twilio_sms": {"to": [], "account_sid": "a", "auth_token": "hunter2", "api_key_secret": "hunter2"}});
    let call = json!({"twilio_call": {"to": [], "account_sid": "a", "auth_token": "hunter2", "from": "", "api_key_secret": "hunter2"}});
    for channel in [hook, mail, sms, call] {
        let config = with_channel(channel);
        let shown = format!("{config:?} {}", serde_json::to_string(&config.receivers).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn nothing_configured_is_valid_and_tells_nobody() {
    assert_eq!(validate(&NotifierConfig::default()), []);
}

#[test]
fn routes_take_alerts_as_alertmanager_would() {
    let route = json!({"receiver": "all", "routes": [
        {"receiver": "pager", "matchers": ["severity=\"P0\""], "continue": true},
        {"receiver": "risk", "matchers": ["team=\"risk\""], "routes": [{"receiver": "night", "matchers": ["channel=~\"web|app\""]}]},
        {"receiver": "never", "matchers": ["team=\"risk\""]},
    ]});
    let plan =
        notifier::plan::Plan::compile(config(&["all", "pager", "risk", "night", "never"], route, json!({})))
            .unwrap();
    type Row = (&'static [(&'static str, &'static str)], &'static [&'static str]);
    let table: [Row; 5] = [
        (&[], &["all"]),
        (&[("severity", "P0")], &["pager"]),
        (&[("severity", "P0"), ("team", "risk")], &["pager", "risk"]),
        (&[("team", "risk"), ("channel", "app")], &["night"]),
        (&[("team", "risk"), ("channel", "apps")], &["risk"]),
    ];
    for (labels, expected) in table {
        assert_eq!(plan.route_for(&model::Labels::new(labels.iter().copied())), expected, "{labels:?}");
    }
}

#[test]
fn a_channel_has_one_type_that_is_known() {
    let said = |channel: Value| serde_json::from_value::<ChannelConfig>(channel).unwrap_err().to_string();
    let valid = "email, webhook, twilio_sms, twilio_call";
    assert_eq!(said(json!({"emial": {}})), format!("unknown channel type `emial`, valid are: {valid}"));
    assert_eq!(said(json!({})), format!("a channel has exactly one type, of: {valid}"));
    assert!(said(json!({"email": {"too": []}})).starts_with("unknown field `too`"));
    let mail = json!({"email": {"to": ["a@b.cc"]}});
    let (one, other): (ChannelConfig, ChannelConfig) =
        (serde_json::from_value(mail.clone()).unwrap(), serde_json::from_value(mail).unwrap());
    assert_eq!(one, other);
}
