//! What people read, in both languages.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono_tz::Tz;
use model::{AlertTransition, Evidence, Origin, Reason, ReasonCode, Severity, Transition};
use notifier::Language;
use notifier::channel::Notification;
use notifier::message::body;
use notifier::message::compose::{Draft, compose, note};
use notifier::message::sentence::Told;
use notifier::message::{AlertNote, Message, MessageKind, NoteStatus};

use crate::bench::{at, transition};

const CODES: [ReasonCode; 9] = [
    ReasonCode::Normal,
    ReasonCode::Learning,
    ReasonCode::NoData,
    ReasonCode::AboveBand,
    ReasonCode::BelowBand,
    ReasonCode::AboveThreshold,
    ReasonCode::BelowThreshold,
    ReasonCode::DriftUp,
    ReasonCode::DriftDown,
];

fn alert(code: ReasonCode, decided_by: Option<&str>, notes: &[&str]) -> AlertTransition {
    let mut alert = transition("orders.app", 6_120, 6_600, Transition::Firing, Severity::P0, Origin::Live);
    let evidence = decided_by.map(|name| Evidence {
        algorithm: name.into(),
        admitted: true,
        abstained: None,
        score: 2.3,
        direction: None,
        numbers: BTreeMap::from([("samples".into(), 7.into())]),
    });
    alert.info.title = "每分钟订单数 Orders".into();
    alert.reason = Arc::new(Reason {
        version: 1,
        code,
        decided_by: decided_by.map(Into::into),
        evidence: evidence.into_iter().collect(),
        notes: notes.iter().map(|note| (*note).to_owned()).collect(),
        message: (code == ReasonCode::NoData).then(|| "connection refused".to_owned()),
        ..Reason::default()
    });
    alert
}

fn told<'a>(fired: &'a AlertTransition, last: &'a AlertTransition, status: NoteStatus) -> Told<'a> {
    Told { fired, last, status, seen_from: at(6_600), zone: Tz::Asia__Shanghai }
}

#[test]
fn every_reason_reads_as_a_sentence() {
    let mut lines = Vec::new();
    for code in CODES {
        let fired = alert(code, None, &[]);
        let mut over = fired.clone();
        over.window = model::Window { start: at(8_040), end: at(8_100) };
        over.value = Some(1_236.4);
        for language in Language::ALL {
            let fires = told(&fired, &fired, NoteStatus::Firing);
            lines.push(format!("{code:?}: {}", fires.sentence(language)));
            lines.push(format!("  short: {}", fires.headline(language)));
            lines.push(format!("  why: {}", fires.why(language)));
            lines.push(format!("  over: {}", told(&fired, &over, NoteStatus::Resolved).sentence(language)));
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @r##"
    Normal: 每分钟订单数 Orders (channel=app) is firing: 412, since 17:42
      short: 每分钟订单数 Orders (channel=app) is firing: 412
      why: reported as firing
      over: 每分钟订单数 Orders (channel=app) is back to normal: 1,236, expected 1,240; it lasted 33 minutes, from 17:42 to 18:15
    Normal: 每分钟订单数 Orders（channel=app）正在告警：412，自 17:42 起
      short: 每分钟订单数 Orders（channel=app）正在告警：412
      why: 由外部上报为告警
      over: 每分钟订单数 Orders（channel=app）已恢复正常：1,236，预期 1,240；持续 33 分钟（17:42 至 18:15）
    Learning: 每分钟订单数 Orders (channel=app) is firing: 412, since 17:42
      short: 每分钟订单数 Orders (channel=app) is firing: 412
      why: Tidemark is still learning this metric
      over: 每分钟订单数 Orders (channel=app) is back to normal: 1,236, expected 1,240; it lasted 33 minutes, from 17:42 to 18:15
    Learning: 每分钟订单数 Orders（channel=app）正在告警：412，自 17:42 起
      short: 每分钟订单数 Orders（channel=app）正在告警：412
      why: Tidemark 仍在学习该指标
      over: 每分钟订单数 Orders（channel=app）已恢复正常：1,236，预期 1,240；持续 33 分钟（17:42 至 18:15）
    NoData: 每分钟订单数 Orders (channel=app) has had no data since 17:42: connection refused
      short: 每分钟订单数 Orders (channel=app) has had no data
      why: the source did not answer or had no value (connection refused)
      over: 每分钟订单数 Orders (channel=app) has data again: 1,236, expected 1,240; it lasted 33 minutes, from 17:42 to 18:15
    NoData: 每分钟订单数 Orders（channel=app）自 17:42 起没有数据：connection refused
      short: 每分钟订单数 Orders（channel=app）没有数据
      why: 数据源没有应答或没有返回数值（connection refused）
      over: 每分钟订单数 Orders（channel=app）已恢复上报：1,236，预期 1,240；持续 33 分钟（17:42 至 18:15）
    AboveBand: 每分钟订单数 Orders (channel=app) is 412, 67% above the expected 1,240 (usual: 1,050 to 1,430), since 17:42
      short: 每分钟订单数 Orders (channel=app) is 412, 67% above expected
      why: the deviation is 2.3 times the limit
      over: 每分钟订单数 Orders (channel=app) is back to normal: 1,236, expected 1,240; it lasted 33 minutes, from 17:42 to 18:15
    AboveBand: 每分钟订单数 Orders（channel=app）为 412，比预期 1,240 高 67%（正常范围 1,050 到 1,430），自 17:42 起
      short: 每分钟订单数 Orders（channel=app）为 412，比预期高 67%
      why: 偏差是界限的 2.3 倍
      over: 每分钟订单数 Orders（channel=app）已恢复正常：1,236，预期 1,240；持续 33 分钟（17:42 至 18:15）
    BelowBand: 每分钟订单数 Orders (channel=app) is 412, 67% below the expected 1,240 (usual: 1,050 to 1,430), since 17:42
      short: 每分钟订单数 Orders (channel=app) is 412, 67% below expected
      why: the deviation is 2.3 times the limit
      over: 每分钟订单数 Orders (channel=app) is back to normal: 1,236, expected 1,240; it lasted 33 minutes, from 17:42 to 18:15
    BelowBand: 每分钟订单数 Orders（channel=app）为 412，比预期 1,240 低 67%（正常范围 1,050 到 1,430），自 17:42 起
      short: 每分钟订单数 Orders（channel=app）为 412，比预期低 67%
      why: 偏差是界限的 2.3 倍
      over: 每分钟订单数 Orders（channel=app）已恢复正常：1,236，预期 1,240；持续 33 分钟（17:42 至 18:15）
    AboveThreshold: 每分钟订单数 Orders (channel=app) is 412, above the limit of 1,430, since 17:42
      short: 每分钟订单数 Orders (channel=app) is 412, above the limit of 1,430
      why: it crossed the limit set for this metric
      over: 每分钟订单数 Orders (channel=app) is back to normal: 1,236, expected 1,240; it lasted 33 minutes, from 17:42 to 18:15
    AboveThreshold: 每分钟订单数 Orders（channel=app）为 412，高于阈值 1,430，自 17:42 起
      short: 每分钟订单数 Orders（channel=app）为 412，高于阈值 1,430
      why: 越过了为该指标设定的阈值
      over: 每分钟订单数 Orders（channel=app）已恢复正常：1,236，预期 1,240；持续 33 分钟（17:42 至 18:15）
    BelowThreshold: 每分钟订单数 Orders (channel=app) is 412, below the limit of 1,050, since 17:42
      short: 每分钟订单数 Orders (channel=app) is 412, below the limit of 1,050
      why: it crossed the limit set for this metric
      over: 每分钟订单数 Orders (channel=app) is back to normal: 1,236, expected 1,240; it lasted 33 minutes, from 17:42 to 18:15
    BelowThreshold: 每分钟订单数 Orders（channel=app）为 412，低于阈值 1,050，自 17:42 起
      short: 每分钟订单数 Orders（channel=app）为 412，低于阈值 1,050
      why: 越过了为该指标设定的阈值
      over: 每分钟订单数 Orders（channel=app）已恢复正常：1,236，预期 1,240；持续 33 分钟（17:42 至 18:15）
    DriftUp: 每分钟订单数 Orders (channel=app) has been drifting up, though it just was 412, since 17:42
      short: 每分钟订单数 Orders (channel=app) has been drifting up, though it just was 412
      why: small deviations to the same side have added up to 2.3 times what is normal
      over: 每分钟订单数 Orders (channel=app) is back to normal: 1,236, expected 1,240; it lasted 33 minutes, from 17:42 to 18:15
    DriftUp: 每分钟订单数 Orders（channel=app）持续走高，但最近一次为 412，自 17:42 起
      short: 每分钟订单数 Orders（channel=app）持续走高，但最近一次为 412
      why: 同一方向的小偏差累积到正常水平的 2.3 倍
      over: 每分钟订单数 Orders（channel=app）已恢复正常：1,236，预期 1,240；持续 33 分钟（17:42 至 18:15）
    DriftDown: 每分钟订单数 Orders (channel=app) has been drifting down: 412, expected 1,240 (67% off), since 17:42
      short: 每分钟订单数 Orders (channel=app) has been drifting down: 412, expected 1,240
      why: small deviations to the same side have added up to 2.3 times what is normal
      over: 每分钟订单数 Orders (channel=app) is back to normal: 1,236, expected 1,240; it lasted 33 minutes, from 17:42 to 18:15
    DriftDown: 每分钟订单数 Orders（channel=app）持续走低：412，预期 1,240（偏离 67%），自 17:42 起
      short: 每分钟订单数 Orders（channel=app）持续走低：412，预期 1,240
      why: 同一方向的小偏差累积到正常水平的 2.3 倍
      over: 每分钟订单数 Orders（channel=app）已恢复正常：1,236，预期 1,240；持续 33 分钟（17:42 至 18:15）
    "##);
}

#[test]
fn why_names_the_algorithm_and_the_circumstances() {
    let cases: [(Option<&str>, &[&str]); 9] = [
        (Some("baseline"), &[]),
        (Some("baseline"), &["promotion:double11"]),
        (Some("baseline"), &["fallback:holiday->weekend", "extrapolated_limit"]),
        (Some("baseline"), &["new_level?"]),
        (Some("count"), &[]),
        (Some("rate"), &[]),
        (Some("onestep"), &[]),
        (Some("forest"), &["something_new:7"]),
        (None, &["below_min_deviation"]),
    ];
    let mut lines = Vec::new();
    for (by, notes) in cases {
        let fired = alert(ReasonCode::BelowBand, by, notes);
        for language in Language::ALL {
            lines.push(told(&fired, &fired, NoteStatus::Firing).why(language));
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @r##"
    compared with the same time of 7 earlier days without their extremes, the deviation is 2.3 times the limit
    与此前 7 天同一时刻（去掉最高最低）相比，偏差是界限的 2.3 倍
    compared with the same time of 7 earlier days without their extremes, the deviation is 2.3 times the limit; promotion double11 is on, the usual range is wider
    与此前 7 天同一时刻（去掉最高最低）相比，偏差是界限的 2.3 倍；促销“double11”期间，正常范围已放宽
    compared with the same time of 7 earlier days without their extremes, the deviation is 2.3 times the limit; too few days of this kind are known, others were compared (holiday->weekend); the limit lies beyond all past values and was extrapolated
    与此前 7 天同一时刻（去掉最高最低）相比，偏差是界限的 2.3 倍；同类日期太少，改与其他日期比较（holiday->weekend）；界限超出历史范围，为外推所得
    compared with the same time of 7 earlier days without their extremes, the deviation is 2.3 times the limit; it has lasted so long that this may be a new level
    与此前 7 天同一时刻（去掉最高最低）相比，偏差是界限的 2.3 倍；已持续很久，这可能是新的水平
    so few events are too unlikely at this time of the day (2.3 times the limit)
    一天中的这个时刻，次数这么少几乎不可能（界限的 2.3 倍）
    such a rate is too unlikely for so many cases (2.3 times the limit)
    以这么多样本，出现这样的比率几乎不可能（界限的 2.3 倍）
    it left the forecast made from the values before by 2.3 times the limit
    偏离由此前数值作出的预测，是界限的 2.3 倍
    the algorithm forest found 2.3 times its limit; something_new:7
    算法 forest 的偏差是其界限的 2.3 倍；something_new:7
    the deviation is 2.3 times the limit; the deviation is below the configured minimum
    偏差是界限的 2.3 倍；偏差小于设定的最小值
    "##);
}

#[test]
fn a_fixed_limit_is_the_one_somebody_wrote_down_not_the_band() {
    let mut fired = alert(ReasonCode::BelowThreshold, Some("threshold"), &[]);
    let mut reason = (*fired.reason).clone();
    reason.evidence[0].numbers = BTreeMap::from([("below".into(), 500.into())]);
    fired.reason = Arc::new(reason);
    let headline = told(&fired, &fired, NoteStatus::Firing).headline(Language::En);
    assert!(headline.ends_with("is 412, below the limit of 500"), "{headline}");
}

#[test]
fn an_end_for_another_cause_does_not_claim_that_all_is_well() {
    let fired = alert(ReasonCode::BelowBand, None, &[]);
    let mut lines = Vec::new();
    for note in ["series_gone", "reconfigured"] {
        let over = alert(ReasonCode::NoData, None, &[note]);
        for language in Language::ALL {
            lines.push(told(&fired, &over, NoteStatus::Resolved).sentence(language));
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @r##"
    每分钟订单数 Orders (channel=app) is no longer reported, so its alert ended after 8 minutes
    每分钟订单数 Orders（channel=app）不再上报，告警随之结束，持续 8 分钟
    每分钟订单数 Orders (channel=app) has new settings, so its alert ended after 8 minutes
    每分钟订单数 Orders（channel=app）的设置已变更，告警随之结束，持续 8 分钟
    "##);
}

#[test]
fn a_collection_that_is_silent_reads_as_a_sentence() {
    let mut fired = alert(ReasonCode::NoData, None, &["collection_silent"]);
    fired.reason = Arc::new(Reason { message: None, ..(*fired.reason).clone() });
    let mut lines = Vec::new();
    for language in Language::ALL {
        let fires = told(&fired, &fired, NoteStatus::Firing);
        lines.extend([fires.sentence(language), fires.headline(language), fires.why(language)]);
        lines.push(told(&fired, &fired, NoteStatus::Resolved).sentence(language));
    }
    insta::assert_snapshot!(lines.join("\n"), @r##"
    No sample of any metric arrives since 17:42: the collector does not run or cannot write
    No sample of any metric arrives
    nobody samples, or what is sampled cannot be written; look at `tidemark ready` and the log of the collector
    Samples arrive again; none of any metric had arrived for 8 minutes, from 17:42 to 17:50
    自 17:42 起没有任何指标上报：采集进程未运行或无法写入
    没有任何指标上报
    没有进程在采集，或采集结果无法写入；请查看 tidemark ready 与采集进程的日志
    指标采集已恢复；此前 8 分钟没有任何指标上报（17:42 至 17:50）
    "##);
}

#[test]
fn numbers_that_are_missing_leave_no_holes() {
    let mut lines = Vec::new();
    for code in CODES {
        let mut fired = alert(code, None, &[]);
        fired.reason = Arc::new(Reason { code, ..Reason::default() });
        (fired.value, fired.expected, fired.lower, fired.upper, fired.deviation_pct) =
            (None, None, None, None, None);
        for language in Language::ALL {
            lines.push(told(&fired, &fired, NoteStatus::Firing).sentence(language));
        }
    }
    let text = lines.join("\n");
    assert!(!text.contains("none") && !text.contains("None") && !text.contains("undefined"), "{text}");
    insta::assert_snapshot!(text, @r##"
    每分钟订单数 Orders (channel=app) is firing, since 17:42
    每分钟订单数 Orders（channel=app）正在告警，自 17:42 起
    每分钟订单数 Orders (channel=app) is firing, since 17:42
    每分钟订单数 Orders（channel=app）正在告警，自 17:42 起
    每分钟订单数 Orders (channel=app) has had no data since 17:42
    每分钟订单数 Orders（channel=app）自 17:42 起没有数据
    每分钟订单数 Orders (channel=app) is unknown, above the expected, since 17:42
    每分钟订单数 Orders（channel=app）为 未知，比预期高，自 17:42 起
    每分钟订单数 Orders (channel=app) is unknown, below the expected, since 17:42
    每分钟订单数 Orders（channel=app）为 未知，比预期低，自 17:42 起
    每分钟订单数 Orders (channel=app) is unknown, above the limit, since 17:42
    每分钟订单数 Orders（channel=app）为 未知，高于阈值，自 17:42 起
    每分钟订单数 Orders (channel=app) is unknown, below the limit, since 17:42
    每分钟订单数 Orders（channel=app）为 未知，低于阈值，自 17:42 起
    每分钟订单数 Orders (channel=app) has been drifting up: unknown, since 17:42
    每分钟订单数 Orders（channel=app）持续走高：未知，自 17:42 起
    每分钟订单数 Orders (channel=app) has been drifting down: unknown, since 17:42
    每分钟订单数 Orders（channel=app）持续走低：未知，自 17:42 起
    "##);
}

fn notes(language: Language) -> Vec<AlertNote> {
    let fired = alert(ReasonCode::BelowBand, Some("baseline"), &[]);
    let mut rate = alert(ReasonCode::DriftDown, Some("cusum"), &[]);
    rate.info = model::AlertInfo {
        title: "Pass <rate>".into(),
        unit: "percentunit".into(),
        owner: "risk & co".into(),
        runbook_url: "https://wiki.example.com/pass-rate".into(),
    };
    (rate.value, rate.expected, rate.lower, rate.upper) = (Some(0.621), Some(0.6843), Some(0.65), Some(0.72));
    rate.deviation_pct = Some(-9.25);
    let mut over = alert(ReasonCode::NoData, None, &[]);
    over.info.runbook_url = "javascript:alert(1)".into();
    let url = Some("https://tidemark.example.com/");
    let firing = NoteStatus::Firing;
    vec![
        note(&told(&rate, &rate, firing), rate.id, Severity::P2, &rate.labels, language, url),
        note(&told(&over, &over, NoteStatus::Resolved), over.id, Severity::P0, &over.labels, language, url),
        note(&told(&fired, &fired, firing), fired.id, Severity::P0, &fired.labels, language, url),
    ]
}

fn message(kind: MessageKind, language: Language, notes: Vec<AlertNote>) -> Message {
    let firing = notes.iter().filter(|note| note.status == NoteStatus::Firing).count();
    let resolved = notes.len() - firing;
    compose(Draft {
        kind,
        incident: "inc-7".into(),
        group_key: "{}@ops:{}".into(),
        receiver: "ops",
        language,
        zone: Tz::Asia__Shanghai,
        group_labels: model::Labels::new([("metric", "orders")]),
        notes,
        firing,
        resolved,
        at: at(6_600),
        created_at: at(6_601),
        external_url: Some("https://tidemark.example.com"),
    })
}

#[test]
fn a_group_is_told_worst_first_in_english() {
    let message = message(MessageKind::Firing, Language::En, notes(Language::En));
    insta::assert_snapshot!(message.text, @r##"
    [P0] 2 alerts, first 每分钟订单数 Orders (channel=app) is 412, 67% below expected; 1 resolved

    [P0] 每分钟订单数 Orders (channel=app) is 412, 67% below the expected 1,240 (usual: 1,050 to 1,430), since 17:42
        Why: compared with the same time of 7 earlier days without their extremes, the deviation is 2.3 times the limit
        https://tidemark.example.com/alerts/caa55e073dba2421-mm8zpcg0

    [P2] Pass <rate> (channel=app) has been drifting down: 62.1%, expected 68.43% (9.3% off), since 17:42
        Why: small deviations to the same side have added up to 2.3 times what is normal
        Owner: risk & co
        What to do: https://wiki.example.com/pass-rate
        https://tidemark.example.com/alerts/caa55e073dba2421-mm8zpcg0

    [Resolved] 每分钟订单数 Orders (channel=app) has data again: 412, expected 1,240; it lasted 8 minutes, from 17:42 to 17:50
        https://tidemark.example.com/alerts/caa55e073dba2421-mm8zpcg0

    -- 
    Tidemark, 2026-03-02 17:50:00 (Asia/Shanghai), receiver ops, incident inc-7
    "##);
}

#[test]
fn a_group_is_told_worst_first_in_chinese() {
    let message = message(MessageKind::Firing, Language::Zh, notes(Language::Zh));
    insta::assert_snapshot!(message.text, @r##"
    [P0] 2 条告警，首条：每分钟订单数 Orders（channel=app）为 412，比预期低 67%；1 条已恢复

    [P0] 每分钟订单数 Orders（channel=app）为 412，比预期 1,240 低 67%（正常范围 1,050 到 1,430），自 17:42 起
        原因：与此前 7 天同一时刻（去掉最高最低）相比，偏差是界限的 2.3 倍
        https://tidemark.example.com/alerts/caa55e073dba2421-mm8zpcg0

    [P2] Pass <rate>（channel=app）持续走低：62.1%，预期 68.43%（偏离 9.3%），自 17:42 起
        原因：同一方向的小偏差累积到正常水平的 2.3 倍
        负责人：risk & co
        处理办法：https://wiki.example.com/pass-rate
        https://tidemark.example.com/alerts/caa55e073dba2421-mm8zpcg0

    [已恢复] 每分钟订单数 Orders（channel=app）已恢复上报：412，预期 1,240；持续 8 分钟（17:42 至 17:50）
        https://tidemark.example.com/alerts/caa55e073dba2421-mm8zpcg0

    -- 
    Tidemark，2026-03-02 17:50:00（Asia/Shanghai），接收人 ops，事件 inc-7
    "##);
}

#[test]
fn html_says_the_same_and_escapes_what_others_wrote() {
    let message = message(MessageKind::Firing, Language::En, notes(Language::En));
    assert!(
        message.html.contains("Pass &lt;rate&gt;") && message.html.contains("risk &amp; co"),
        "{}",
        message.html
    );
    assert!(!message.html.contains("<rate>") && !message.html.contains("javascript:"), "{}", message.html);
    insta::assert_snapshot!(message.html, @r##"
    <!doctype html>
    <html lang="en">
    <head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>[P0] 2 alerts, first 每分钟订单数 Orders (channel=app) is 412, 67% below expected; 1 resolved</title></head>
    <body style="margin:0;padding:16px;background:#f4f5f7;font-family:-apple-system,'Segoe UI','PingFang SC','Microsoft YaHei',sans-serif;color:#1f2430">
    <div style="max-width:640px;margin:0 auto">
    <h1 style="font-size:18px;line-height:1.4;margin:0 0 12px">[P0] 2 alerts, first 每分钟订单数 Orders (channel=app) is 412, 67% below expected; 1 resolved</h1>
    <div style="background:#fff;border:1px solid #dfe2e8;border-left:4px solid #d0342c;border-radius:6px;padding:12px 16px;margin:0 0 12px">
    <p style="margin:0 0 8px;font-weight:600">[P0] 每分钟订单数 Orders (channel=app) is 412, 67% below the expected 1,240 (usual: 1,050 to 1,430), since 17:42</p>
    <table style="border-collapse:collapse;font-size:14px">
    <tr><td style="padding:2px 16px 2px 0;color:#667">Value</td><td style="padding:2px 0">412</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Expected</td><td style="padding:2px 0">1,240</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Usual range</td><td style="padding:2px 0">1,050 – 1,430</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Deviation</td><td style="padding:2px 0">-67%</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Since</td><td style="padding:2px 0">17:42</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Duration</td><td style="padding:2px 0">8 minutes</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Why</td><td style="padding:2px 0">compared with the same time of 7 earlier days without their extremes, the deviation is 2.3 times the limit</td></tr>
    </table>
    <p style="margin:8px 0 0"><a href="https:&#x2f;&#x2f;tidemark.example.com&#x2f;alerts&#x2f;caa55e073dba2421-mm8zpcg0">Open the alert</a></p>
    </div>
    <div style="background:#fff;border:1px solid #dfe2e8;border-left:4px solid #b8a200;border-radius:6px;padding:12px 16px;margin:0 0 12px">
    <p style="margin:0 0 8px;font-weight:600">[P2] Pass &lt;rate&gt; (channel=app) has been drifting down: 62.1%, expected 68.43% (9.3% off), since 17:42</p>
    <table style="border-collapse:collapse;font-size:14px">
    <tr><td style="padding:2px 16px 2px 0;color:#667">Value</td><td style="padding:2px 0">62.1%</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Expected</td><td style="padding:2px 0">68.43%</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Usual range</td><td style="padding:2px 0">65% – 72%</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Deviation</td><td style="padding:2px 0">-9.3%</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Since</td><td style="padding:2px 0">17:42</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Duration</td><td style="padding:2px 0">8 minutes</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Why</td><td style="padding:2px 0">small deviations to the same side have added up to 2.3 times what is normal</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Owner</td><td style="padding:2px 0">risk &amp; co</td></tr>
    </table>
    <p style="margin:8px 0 0"><a href="https:&#x2f;&#x2f;wiki.example.com&#x2f;pass-rate">What to do</a></p>
    <p style="margin:8px 0 0"><a href="https:&#x2f;&#x2f;tidemark.example.com&#x2f;alerts&#x2f;caa55e073dba2421-mm8zpcg0">Open the alert</a></p>
    </div>
    <div style="background:#fff;border:1px solid #dfe2e8;border-left:4px solid #2e9e5b;border-radius:6px;padding:12px 16px;margin:0 0 12px">
    <p style="margin:0 0 8px;font-weight:600">[Resolved] 每分钟订单数 Orders (channel=app) has data again: 412, expected 1,240; it lasted 8 minutes, from 17:42 to 17:50</p>
    <table style="border-collapse:collapse;font-size:14px">
    <tr><td style="padding:2px 16px 2px 0;color:#667">Value</td><td style="padding:2px 0">412</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Expected</td><td style="padding:2px 0">1,240</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Usual range</td><td style="padding:2px 0">1,050 – 1,430</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Since</td><td style="padding:2px 0">17:42</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Until</td><td style="padding:2px 0">17:50</td></tr>
    <tr><td style="padding:2px 16px 2px 0;color:#667">Duration</td><td style="padding:2px 0">8 minutes</td></tr>
    </table>
    <p style="margin:8px 0 0"><a href="https:&#x2f;&#x2f;tidemark.example.com&#x2f;alerts&#x2f;caa55e073dba2421-mm8zpcg0">Open the alert</a></p>
    </div>
    <p style="color:#667;font-size:12px;margin:16px 0 0">Tidemark, 2026-03-02 17:50:00 (Asia&#x2f;Shanghai), receiver ops, incident inc-7</p>
    </div>
    </body>
    </html>
    "##);
}

#[test]
fn every_kind_has_a_subject() {
    let kinds = [
        MessageKind::Firing,
        MessageKind::Repeat,
        MessageKind::Resolved,
        MessageKind::Digest,
        MessageKind::Summary,
        MessageKind::Test,
    ];
    let mut lines = Vec::new();
    for kind in kinds {
        for language in Language::ALL {
            let all = notes(language);
            let (over, firing): (Vec<_>, Vec<_>) =
                all.clone().into_iter().partition(|note| note.status == NoteStatus::Resolved);
            let one = match kind {
                MessageKind::Resolved | MessageKind::Digest => over,
                _ => firing[..1].to_vec(),
            };
            lines.push(message(kind, language, one).subject);
            lines.push(message(kind, language, all).subject);
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @r##"
    [P2] Pass <rate> (channel=app) has been drifting down: 62.1%, expected 68.43%
    [P0] 2 alerts, first 每分钟订单数 Orders (channel=app) is 412, 67% below expected; 1 resolved
    [P2] Pass <rate>（channel=app）持续走低：62.1%，预期 68.43%
    [P0] 2 条告警，首条：每分钟订单数 Orders（channel=app）为 412，比预期低 67%；1 条已恢复
    [P2] Still firing: Pass <rate> (channel=app) has been drifting down: 62.1%, expected 68.43%
    [P0] Still firing: 2 alerts, first 每分钟订单数 Orders (channel=app) is 412, 67% below expected; 1 resolved
    [P2] 仍在告警：Pass <rate>（channel=app）持续走低：62.1%，预期 68.43%
    [P0] 仍在告警：2 条告警，首条：每分钟订单数 Orders（channel=app）为 412，比预期低 67%；1 条已恢复
    [Resolved] 每分钟订单数 Orders (channel=app) has data again after 8 minutes
    [Resolved] 每分钟订单数 Orders (channel=app) has data again after 8 minutes; 2 still firing
    [已恢复] 每分钟订单数 Orders（channel=app）已恢复上报，持续 8 分钟
    [已恢复] 每分钟订单数 Orders（channel=app）已恢复上报，持续 8 分钟；仍有 2 条告警中
    [Digest] 1 alert came and went while nobody could be told
    [Digest] 3 alerts came and went while nobody could be told
    [汇总] 无法通知期间发生并结束的告警 1 条
    [汇总] 无法通知期间发生并结束的告警 3 条
    [P2] 1 more alert: 1 firing, 0 resolved
    [P0] 3 more alerts: 2 firing, 1 resolved
    [P2] 另有告警 1 条：1 条告警中，0 条已恢复
    [P0] 另有告警 3 条：2 条告警中，1 条已恢复
    [Test] Tidemark can reach ops
    [Test] Tidemark can reach ops
    [测试] Tidemark 可以通知到 ops
    [测试] Tidemark 可以通知到 ops
    "##);
}

#[test]
fn a_message_carries_the_worst_and_counts_the_rest() {
    let many: Vec<AlertNote> = (0..250)
        .map(|n| {
            let mut note = notes(Language::En)[0].clone();
            note.id.fingerprint = n;
            note
        })
        .collect();
    let message = message(MessageKind::Digest, Language::En, many);
    assert_eq!((message.alerts.len(), message.firing), (100, 250));
    assert!(message.text.contains("... and 200 more"), "{}", message.text);
}

#[test]
fn the_body_of_a_webhook_is_alertmanagers_with_our_numbers() {
    let notification = Notification {
        key: "msg_1".into(),
        thread: None,
        recipient: "example.com".into(),
        attempt_at: at(6_602),
        message: message(MessageKind::Firing, Language::En, notes(Language::En)),
        acknowledge: None,
    };
    let mut body: serde_json::Value = serde_json::from_slice(&body::render(&notification, 1)).unwrap();
    body["tidemark"]["text"] = "...".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap(), @r##"
    {
      "version": "4",
      "type": "alert.firing",
      "timestamp": "2026-03-02T09:50:01Z",
      "groupKey": "{}@ops:{}",
      "truncatedAlerts": 2,
      "status": "firing",
      "receiver": "ops",
      "groupLabels": {
        "metric": "orders"
      },
      "commonLabels": {
        "alertname": "orders",
        "channel": "app",
        "metric": "orders",
        "severity": "P0"
      },
      "commonAnnotations": {},
      "externalURL": "https://tidemark.example.com",
      "alerts": [
        {
          "status": "firing",
          "labels": {
            "alertname": "orders",
            "channel": "app",
            "metric": "orders",
            "severity": "P0"
          },
          "annotations": {
            "summary": "每分钟订单数 Orders (channel=app) is 412, 67% below the expected 1,240 (usual: 1,050 to 1,430), since 17:42",
            "description": "compared with the same time of 7 earlier days without their extremes, the deviation is 2.3 times the limit",
            "runbook_url": ""
          },
          "startsAt": "2026-03-02T09:42:00Z",
          "endsAt": "0001-01-01T00:00:00Z",
          "generatorURL": "https://tidemark.example.com/alerts/caa55e073dba2421-mm8zpcg0",
          "fingerprint": "caa55e073dba2421",
          "tidemark": {
            "id": "caa55e073dba2421-mm8zpcg0",
            "severity": "P0",
            "title": "每分钟订单数 Orders",
            "unit": "",
            "owner": "",
            "value": 412.0,
            "expected": 1240.0,
            "lower": 1050.0,
            "upper": 1430.0,
            "deviationPct": -66.8,
            "score": 2.3,
            "reason": "below_band"
          }
        }
      ],
      "tidemark": {
        "id": "msg_1",
        "incident": "inc-7",
        "kind": "firing",
        "language": "en",
        "at": "2026-03-02T09:50:00Z",
        "subject": "[P0] 2 alerts, first 每分钟订单数 Orders (channel=app) is 412, 67% below expected; 1 resolved",
        "text": "...",
        "firing": 2,
        "resolved": 1
      }
    }
    "##);
}
