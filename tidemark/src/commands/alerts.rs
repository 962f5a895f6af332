//! `tidemark alerts ls`, `tidemark alerts ack` and `tidemark explain`.

use comfy_table::Cell;
use notifier::view::{AlertFilter, AlertState};

use super::metrics::{series_name, state};
use super::{CommandError, Context, offline, run};
use crate::answers;
use crate::api::{ALERTS, AckAnswer, AckRequest, AlertDetail, AlertList, AlertRow};
use crate::cli::{AlertStateArg, AlertsLsArgs, ExplainArgs, Role};
use crate::client::Client;
use crate::exit::Exit;
use crate::output::{Output, Present, number, table};
use crate::runtime::clock::SystemClock;

/// Lists alerts, from the running process or from the folder.
pub(crate) fn ls(context: &Context, args: &AlertsLsArgs) -> Result<Exit, CommandError> {
    let folder = context.data_dir()?;
    let list = run::executor()?.block_on(async {
        if let Some(client) = Client::find(&folder, Role::Notifier)? {
            let mut query = vec![("limit", args.limit.to_string())];
            query.extend(args.state.map(|state| ("state", state.as_str().to_owned())));
            query.extend(args.since.map(|since| ("since", since.to_string())));
            return client.get(ALERTS, &query).await;
        }
        let now = model::Clock::domain_now(&SystemClock::new());
        let filter = AlertFilter {
            states: args.state.map(AlertState::from).into_iter().collect(),
            since: args.since.map(|since| since.instant(now)),
            limit: args.limit as usize,
            ..AlertFilter::default()
        };
        let config = context.config()?;
        answers::alert_list(&offline::alerts(&config)?, &filter, config.language())
            .map_err(|error| CommandError::because("cannot read the alerts", error))
    })?;
    context.print::<AlertList>(&list)?;
    Ok(Exit::Ok)
}

/// Tells why an alert is what it is.
pub(crate) fn explain(context: &Context, args: &ExplainArgs) -> Result<Exit, CommandError> {
    let folder = context.data_dir()?;
    check_id(&args.alert)?;
    let detail = run::executor()?.block_on(async {
        if let Some(client) = Client::find(&folder, Role::Notifier)? {
            return client.get(&format!("{ALERTS}/{}", args.alert), &[]).await;
        }
        let config = context.config()?;
        let reader = offline::alerts(&config)?;
        let id = answers::find_alert(&reader, &args.alert).map_err(CommandError::new)?;
        answers::alert_detail(&reader, id, config.language())
            .map_err(|error| CommandError::because("cannot read the alerts", error))?
            .ok_or_else(|| CommandError::new(format!("there is no alert {id}")))
    })?;
    context.print_one::<AlertDetail>(&detail, |detail| in_words(detail, context.output))?;
    Ok(Exit::Ok)
}

/// Notes that somebody has an alert in hand.
pub(crate) fn acknowledge(context: &Context, alert: &str, by: Option<&str>) -> Result<Exit, CommandError> {
    check_id(alert)?;
    let folder = context.data_dir()?;
    let user = || std::env::var("USER").ok().filter(|user| !user.is_empty());
    let by = by.map(str::to_owned).or_else(user).unwrap_or_default();
    let asked = AckRequest { by, via: "cli".to_owned() };
    let answer: AckAnswer = run::executor()?.block_on(async {
        let client = Client::need(&folder, Role::Notifier, "alerts ack")?;
        Ok::<_, CommandError>(client.post(&format!("{ALERTS}/{alert}/ack"), &asked).await?)
    })?;
    context.print_one(&answer, |answer| match answer.result.as_str() {
        "already_acknowledged" => format!("alert {} was acknowledged before", answer.id),
        _ => format!("alert {} is acknowledged", answer.id),
    })?;
    Ok(Exit::Ok)
}

/// What is asked for stands in a path.
fn check_id(alert: &str) -> Result<(), CommandError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if alert.is_empty() || !alert.chars().all(plain) {
        return Err(CommandError::new(format!("`{alert}` is no alert id: `tidemark alerts ls` lists them")));
    }
    Ok(())
}

impl From<AlertStateArg> for AlertState {
    fn from(state: AlertStateArg) -> Self {
        match state {
            AlertStateArg::Pending => Self::Pending,
            AlertStateArg::Firing => Self::Firing,
            AlertStateArg::Resolved => Self::Resolved,
        }
    }
}

impl Present for AlertList {
    type Row = AlertRow;

    fn rows(&self) -> &[AlertRow] {
        &self.alerts
    }

    fn table(&self, output: Output) -> String {
        if self.alerts.is_empty() {
            return "no alert".to_owned();
        }
        let mut table = table(&["alert", "state", "severity", "since", "until", "what"]);
        for row in &self.alerts {
            let suppressed = row.suppressed.as_ref().map(|why| format!(" (not told: {why})"));
            let in_hand = row.acknowledged.as_ref().map(|ack| format!(" (acknowledged by {})", ack.by));
            table.add_row([
                Cell::new(&row.id),
                state(&row.state, output),
                state(&row.severity, output),
                Cell::new(row.starts_at),
                Cell::new(row.ends_at.map_or_else(String::new, |at| at.to_string())),
                Cell::new(format!(
                    "{}{}{}",
                    row.sentence,
                    in_hand.unwrap_or_default(),
                    suppressed.unwrap_or_default()
                )),
            ]);
        }
        table.to_string()
    }
}

fn in_words(detail: &AlertDetail, _: Output) -> String {
    let row = &detail.row;
    let mut text = format!(
        "{} {} {}\n{}\n\nsince {}",
        row.severity,
        row.state,
        series_name(&row.metric, &row.labels),
        row.sentence,
        row.starts_at
    );
    if let Some(end) = row.ends_at {
        text.push_str(&format!(" until {end}"));
    }
    if let Some(why) = &row.suppressed {
        text.push_str(&format!("\nnot told: {why}"));
    }
    for ack in &detail.acknowledgements {
        text.push_str(&format!("\nacknowledged {} by {} ({}) as {}", ack.at, ack.by, ack.via, ack.severity));
    }
    let mut numbers = table(&["number", "value"]);
    for (name, value) in &detail.numbers {
        numbers.add_row([Cell::new(name), Cell::new(number(Some(*value)))]);
    }
    let mut steps = table(&["when", "what", "severity"]);
    for step in &detail.transitions {
        steps.add_row([Cell::new(step.at), Cell::new(&step.transition), Cell::new(&step.severity)]);
    }
    let mut sent = table(&["when", "receiver", "channel", "state", "detail"]);
    for row in &detail.deliveries {
        sent.add_row([
            Cell::new(row.at),
            Cell::new(&row.receiver),
            Cell::new(&row.channel),
            Cell::new(&row.state),
            Cell::new(&row.detail),
        ]);
    }
    let reason = evidence(&detail.reason);
    let sent = if detail.deliveries.is_empty() { "no message was due".to_owned() } else { sent.to_string() };
    format!("{text}\n\nNumbers\n{numbers}\n\nWhy\n{reason}\n\nWhat happened\n{steps}\n\nMessages\n{sent}")
}

/// The reason: each algorithm's finding with every number that made it.
fn evidence(reason: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut out = table(&["algorithm", "score", "numbers"]);
    let empty = Vec::new();
    for found in reason["evidence"].as_array().unwrap_or(&empty) {
        let numbers = found["numbers"].as_object().into_iter().flatten();
        let mut numbers: Vec<String> =
            numbers.map(|(name, value)| format!("{name} {}", text(value))).collect();
        if let Some(abstained) = found["abstained"].as_str() {
            numbers.insert(0, format!("does not take part: {abstained}"));
        }
        let score = number(found["score"].as_f64());
        out.add_row([Cell::new(text(&found["algorithm"])), Cell::new(score), Cell::new(numbers.join(", "))]);
    }
    let mut lines = vec![format!("code: {}", text(&reason["code"]))];
    for key in ["decided_by", "expected_by", "message"] {
        lines.extend(reason[key].as_str().map(|value| format!("{}: {value}", key.replace('_', " "))));
    }
    let notes: Vec<String> = reason["notes"].as_array().unwrap_or(&empty).iter().map(text).collect();
    if !notes.is_empty() {
        lines.push(format!("notes: {}", notes.join(", ")));
    }
    if reason["evidence"].as_array().is_some_and(|all| !all.is_empty()) {
        lines.push(out.to_string());
    }
    lines.join("\n")
}
