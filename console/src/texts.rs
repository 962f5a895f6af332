//! Every text of the console, English and Chinese, by key. Sorted by key.
//!
//! Families of keys are looked up by a name that comes from elsewhere: `algorithm_*`, `about_*`, `number_*` and `note_*` by
//! the detector's names, `channel_*` by the channel's kind, `state_*`, `message_*`, `kind_*`, `phase_*`,
//! `store_*` by values of [`crate::dto`].

/// (key, English, Chinese)
pub(crate) const TEXTS: &[(&str, &str, &str)] = &[
    ("about", "About this metric", "关于此指标"),
    (
        "about_baseline",
        "The average of the same time of day on earlier days of the same kind, without the extremes.",
        "取前几天（同类日）同一时刻的样本，去掉最高和最低后求平均。",
    ),
    (
        "about_count",
        "Small counts scatter by chance alone; the limits come from a negative binomial distribution.",
        "小数量本身就会随机波动，上下限取自负二项分布。",
    ),
    (
        "about_cusum",
        "Adds up small deviations in one direction, so that a slow drift is seen.",
        "把同一方向的小偏差逐步累加，从而发现缓慢漂移。",
    ),
    (
        "about_grey",
        "The grey model GM(1,1) continues the last few values.",
        "灰色模型 GM(1,1) 由最近几个值外推。",
    ),
    (
        "about_onestep",
        "Compares each value with the one predicted just before it.",
        "把每个值与前一步的预测值比较。",
    ),
    ("about_threshold", "Compares with the fixed limits of the configuration.", "与配置中的固定上下限比较。"),
    ("abstained_because", "Did not take part: {why}", "未参与判断：{why}"),
    (
        "abstained_counts_below_n_are_judged_by_count",
        "counts below {n} are judged by the model for small counts",
        "低于 {n} 的数量由小数量模型判断",
    ),
    (
        "abstained_fewer_than_n_earlier_days_at_this_time_of_day",
        "fewer than {n} earlier days at this time of day",
        "此时刻的历史样本不足 {n} 天",
    ),
    ("abstained_fewer_than_n_values_were_seen", "fewer than {n} values were seen", "已见数值不足 {n} 个"),
    (
        "abstained_it_does_not_lower_the_recent_loss",
        "it does not lower the recent loss",
        "近期未能降低预测误差",
    ),
    (
        "abstained_n_values_are_fewer_than_the_n_a_grey_model_needs",
        "too few values in a row for a grey model",
        "连续数值太少，不足以建立灰色模型",
    ),
    ("abstained_no_threshold_is_set", "no threshold is set", "未设置阈值"),
    (
        "abstained_no_value_or_too_few_earlier_days_for_a_z",
        "no value, or too few earlier days to measure its distance",
        "没有数值，或历史样本不足以衡量偏离",
    ),
    ("abstained_no_value_was_seen", "no value was seen", "没有数值"),
    (
        "abstained_not_a_small_count_or_too_few_earlier_days",
        "not a small count, or too few earlier days",
        "不是小数量，或历史样本不足",
    ),
    (
        "abstained_small_counts_are_judged_by_count",
        "small counts are judged by their own model",
        "小数量由专门的模型判断",
    ),
    (
        "abstained_small_counts_have_no_z",
        "small counts are judged by their own model",
        "小数量由专门的模型判断",
    ),
    ("acknowledged_by", "Acknowledged by", "已确认"),
    ("alert", "Alert", "告警"),
    ("alert_begins", "Alert begins", "告警开始"),
    ("alert_lasted", "{from}, for {span}", "{from} 起，持续 {span}"),
    ("alert_since", "since {from}, for {span} now", "自 {from} 起，已持续 {span}"),
    ("alerts", "Alerts", "告警"),
    ("alerts_here", "Alerts of this series", "此序列的告警"),
    (
        "alerts_none",
        "No alert so far. When a metric leaves its band, it is said here in a sentence.",
        "目前没有告警。指标一旦偏离正常区间，这里会用一句话说明。",
    ),
    ("alerts_none_here", "No alert in this span.", "此时段内没有告警。"),
    ("algorithm_baseline", "Same time on earlier days", "同期基线"),
    ("algorithm_count", "Small counts", "小数量模型"),
    ("algorithm_cusum", "Slow drift (CUSUM)", "缓慢漂移（CUSUM）"),
    ("algorithm_grey", "Grey forecast GM(1,1)", "灰色预测 GM(1,1)"),
    ("algorithm_onestep", "One-step prediction", "单步预测"),
    ("algorithm_threshold", "Fixed threshold", "固定阈值"),
    ("all", "All", "全部"),
    ("back_home", "Back to the overview", "返回总览"),
    ("band", "Expected band", "预期区间"),
    ("began", "Began", "开始"),
    ("behind", "behind", "落后"),
    ("card_against", "against {expected} expected", "预期 {expected}"),
    ("card_expected", "{expected} expected", "预期 {expected}"),
    ("card_learning", "learning what is normal", "正在学习正常走势"),
    ("card_missing", "no value arrives", "没有数值到达"),
    ("cards_filtered", "No metric matches this filter.", "没有符合筛选条件的指标。"),
    ("cards_more", "{n} more that are normal are not shown here.", "另有 {n} 个正常的指标未在此显示。"),
    (
        "cards_none",
        "No metric has a value yet. The first one appears here as soon as it is sampled.",
        "还没有指标数值。首次采样后会立即显示在这里。",
    ),
    ("channel", "Channel", "渠道"),
    ("channel_email", "e-mail", "邮件"),
    ("channel_twilio_call", "phone call", "电话"),
    ("channel_twilio_sms", "SMS", "短信"),
    ("channel_webhook", "webhook", "Webhook"),
    ("channels", "Delivery channels", "通知渠道"),
    ("chart_empty", "No value in this span.", "此时段内没有数值。"),
    ("chart_label", "Values against their expected band", "数值与其预期区间"),
    ("consumer", "Consumer", "消费者"),
    ("consumers", "Consumers of the log", "日志消费者"),
    ("course", "Course", "走势"),
    ("decided", "decided", "起决定作用"),
    ("delivered", "Delivered", "已送达"),
    ("deliveries", "Who was told", "通知记录"),
    ("deliveries_empty", "Nobody has been told of this alert.", "此告警尚未通知任何人。"),
    ("deviation", "Deviation", "偏差"),
    ("ended", "Resolved", "恢复"),
    ("entries", "{n} entries", "{n} 条"),
    ("expected", "Expected", "预期"),
    ("failed", "Failed", "失败"),
    ("failing", "failing ({n} in a row)", "连续失败 {n} 次"),
    ("filter_label", "Show metrics by state", "按状态筛选指标"),
    ("fired", "Fired", "触发"),
    ("firing_count", "{n} firing", "{n} 条告警中"),
    ("forecast", "Grey forecast", "灰色预测"),
    ("found_above", "The value lies above its limit.", "数值高于上限。"),
    ("found_below", "The value lies below its limit.", "数值低于下限。"),
    ("found_inside", "It saw nothing unusual.", "未见异常。"),
    ("found_outside", "The value lies outside its limits.", "数值超出上下限。"),
    ("health", "Health of the collection", "采集健康状况"),
    ("health_bad", "{n} need attention", "{n} 项需要关注"),
    ("health_good", "all well", "一切正常"),
    ("how_it_stands", "State", "状态"),
    ("in_state_since", "In this state since", "当前状态始于"),
    ("interval", "Sampled every", "采样间隔"),
    ("kind_firing", "firing", "告警"),
    ("kind_other", "digest or test", "汇总或测试"),
    ("kind_resolved", "resolved", "恢复"),
    ("lag", "Lag", "滞后"),
    ("language", "Language", "语言"),
    ("last_week", "One week before", "上周同期"),
    ("last_window", "Last window", "最近时间窗"),
    ("lasted", "Lasted", "持续"),
    ("lead_above_band", "The value rose above the band in which it normally lies.", "数值升到正常区间之上。"),
    (
        "lead_above_threshold",
        "The value rose above the fixed limit of its configuration.",
        "数值高于配置的固定上限。",
    ),
    ("lead_below_band", "The value fell below the band in which it normally lies.", "数值跌到正常区间之下。"),
    (
        "lead_below_threshold",
        "The value fell below the fixed limit of its configuration.",
        "数值低于配置的固定下限。",
    ),
    (
        "lead_drift_down",
        "The value has been sinking slowly: each step was small, together they are too much.",
        "数值在缓慢下滑：每一步都不大，累计起来已超出限度。",
    ),
    (
        "lead_drift_up",
        "The value has been creeping up slowly: each step was small, together they are too much.",
        "数值在缓慢上升：每一步都不大，累计起来已超出限度。",
    ),
    ("lead_learning", "There is not enough history yet to judge.", "历史数据还不足以判断。"),
    (
        "lead_no_data",
        "No value arrived: the source does not answer, or has nothing to say.",
        "没有数值到达：数据源没有应答，或没有返回数据。",
    ),
    ("lead_normal", "The value lies in its band again.", "数值已回到正常区间。"),
    ("left_out", "(left out as an extreme)", "（作为极值剔除）"),
    ("link_live", "Live", "实时"),
    ("link_lost", "Connection lost", "连接中断"),
    ("link_wait", "Connecting", "连接中"),
    ("loading", "Loading …", "加载中……"),
    ("log_of", "log {used} of {max}", "日志 {used} / {max}"),
    ("log_size", "log {used}", "日志 {used}"),
    (
        "lost_retry",
        "The numbers below are the last ones received. Trying again …",
        "下面显示的是最后收到的数据，正在重试……",
    ),
    ("lost_status", "The server answered with status {n}. Trying again …", "服务器返回状态 {n}，正在重试……"),
    ("lost_title", "Connection lost.", "连接中断。"),
    ("message_failed", "failed", "失败"),
    ("message_queued", "queued", "排队中"),
    ("message_received", "received", "已收到"),
    ("message_sent", "sent", "已发送"),
    ("message_suppressed", "suppressed", "已抑制"),
    ("messages", "Messages", "消息"),
    ("messages_none", "Nothing has been sent yet.", "还没有发送过消息。"),
    ("metrics", "Metrics", "指标"),
    ("missed", "Missed", "缺失次数"),
    ("no", "no", "否"),
    (
        "no_such_alert",
        "There is no such alert, or it is older than what is kept.",
        "没有此告警，或已超出保留期限。",
    ),
    (
        "no_such_series",
        "There is no such series. It may not have been sampled yet.",
        "没有此序列，可能尚未采样。",
    ),
    (
        "noscript",
        "This page updates itself by a script of its own, which your browser does not run. Alerts and metrics can be read at their own addresses without it.",
        "此页面依靠自带脚本更新，而您的浏览器未运行脚本。告警和指标的单独页面无需脚本即可阅读。",
    ),
    ("not_admitted", "not counted", "未计入"),
    ("not_found", "Not found", "未找到"),
    ("note_alert_holds", "Outside as before: the alert goes on", "仍在区间外，告警持续"),
    (
        "note_below_min_deviation",
        "The deviation is smaller than the configured minimum",
        "偏差小于配置的最小值",
    ),
    (
        "note_below_min_value",
        "Value and expectation are both below the configured minimum",
        "数值与预期均低于配置的最小值",
    ),
    ("note_excluded", "Left out by the calendar", "日历规定排除"),
    (
        "note_extrapolated_limit",
        "The limit lies beyond all past values and was extrapolated",
        "限度超出历史范围，为外推值",
    ),
    ("note_fallback", "Too few days of this kind; other days stood in", "同类日样本不足，改用其他日"),
    ("note_few_days", "Too few days to wake someone on this alone", "样本天数太少，不单独据此叫人"),
    ("note_grey_in", "The grey forecast takes part", "灰色预测参与判断"),
    ("note_late", "The value came late", "数值迟到"),
    (
        "note_limit_not_earned",
        "Outside a limit rarer than its own past could show; another algorithm disagrees",
        "超出的限度缺乏足够历史支持，且另一算法不认同",
    ),
    ("note_never_fired", "It ended before it fired", "未触发即已结束"),
    ("note_new_level", "This has lasted long. Is it a new level?", "已持续较久，是否为新的正常水平？"),
    ("note_other_direction", "Outside, but not on the side that is watched", "超出区间，但不在监测的方向"),
    ("note_promotion", "A promotion is on; the band is wider", "促销期间，区间已放宽"),
    ("note_reconfigured", "A changed configuration judges otherwise", "配置变更后判断不同"),
    ("note_series_gone", "The series was not seen for seven days", "该序列七天未出现"),
    ("note_widened", "Several windows were taken together", "合并了多个时间窗"),
    ("number_a", "Development coefficient a", "发展系数 a"),
    ("number_above", "Upper threshold", "上限阈值"),
    ("number_b", "Grey input b", "灰色作用量 b"),
    ("number_below", "Lower threshold", "下限阈值"),
    ("number_c", "Posterior ratio C", "后验差比 C"),
    ("number_dispersion", "Dispersion", "离散度"),
    ("number_down", "Sum of downward steps", "向下累计"),
    ("number_evidence", "Evidence", "证据强度"),
    ("number_expected", "Expected", "预期"),
    ("number_expected_sum", "Expected sum", "预期合计"),
    ("number_extrapolated", "Limit extrapolated", "上限为外推"),
    ("number_factor", "Promotion factor", "促销系数"),
    ("number_forecast", "Forecast", "预测"),
    ("number_grade", "Forecast grade", "预测等级"),
    ("number_horizon", "Steps ahead", "预测步数"),
    ("number_interval_lower", "Forecast, lower end", "预测下限"),
    ("number_interval_upper", "Forecast, upper end", "预测上限"),
    ("number_k", "Slack k", "容许值 k"),
    ("number_level", "Evidence of the level", "水平证据"),
    ("number_limit", "Limit", "限度"),
    ("number_limit_blocks", "Blocks of history behind the limit", "限度所依据的历史段数"),
    ("number_lower", "Lower end of the band", "区间下限"),
    ("number_mae", "Mean error", "平均误差"),
    ("number_mae_with", "Mean error with it", "使用后的平均误差"),
    ("number_mae_without", "Mean error without it", "不使用时的平均误差"),
    ("number_mean", "Mean", "均值"),
    ("number_median", "Median", "中位数"),
    ("number_n", "Samples", "样本数"),
    ("number_p", "Small-error probability P", "小误差概率 P"),
    ("number_past_sum", "Past sum", "历史合计"),
    ("number_past_windows", "Past windows", "历史时间窗数"),
    ("number_ratios_ok", "Level ratios in bounds", "级比检验"),
    ("number_raw", "Evidence of the raw value", "原值证据"),
    ("number_scale", "Usual scatter", "常态波动（尺度）"),
    ("number_scale_from", "Scatter measured by", "尺度来源"),
    ("number_shift", "Shift", "平移量"),
    ("number_step", "Evidence of the step", "单步证据"),
    ("number_sum", "Sum", "合计"),
    ("number_surprise", "Surprise (-log10 of its chance)", "意外程度（概率的 -log10）"),
    ("number_trimmed", "Average without extremes", "去极值平均"),
    ("number_up", "Sum of upward steps", "向上累计"),
    ("number_upper", "Upper end of the band", "区间上限"),
    ("number_v", "Variance of the average", "均值方差系数"),
    ("number_value", "Value", "数值"),
    ("number_weight", "Weight in the combination", "组合权重"),
    ("number_widen", "Band widened by", "区间放宽倍数"),
    ("number_windows", "Windows taken together", "合并的时间窗数"),
    ("number_z", "Distance in units of scatter", "偏离程度 z"),
    ("number_zero_run", "Zeros in a row", "连续零值"),
    ("number_zero_run_surprise", "Surprise of the zeros", "连续零值的意外程度"),
    ("ok", "fine", "正常"),
    ("open_alert", "Open the alert", "查看告警"),
    ("origin", "Source", "来源"),
    ("overview", "Overview", "总览"),
    ("owner", "Owner", "负责人"),
    ("phase_now", "now", "进行中"),
    ("phase_past", "over", "已结束"),
    ("phase_planned", "planned", "计划中"),
    ("queued", "Queued", "排队"),
    ("revision", "configuration {id}", "配置 {id}"),
    ("revision_label", "Configuration", "配置版本"),
    ("rows", "Rows", "行数"),
    ("runbook", "What to do", "处理手册"),
    ("sampler", "Sampler", "采样器"),
    ("samplers", "Samplers", "采样器"),
    ("samples_used", "Samples compared", "比较的样本"),
    ("score", "Score", "评分"),
    ("score_of_limit", "Score (1 is the limit)", "评分（1 为限度）"),
    ("search_hint", "Find a metric", "查找指标"),
    ("search_label", "Find a metric by name, label or owner", "按名称、标签或负责人查找指标"),
    ("severity_p0", "P0: wake someone", "P0：立即叫人处理"),
    ("severity_p1", "P1: act today", "P1：当日处理"),
    ("severity_p2", "P2: know of it", "P2：知悉即可"),
    (
        "short_behind",
        "Answered by replica {replica}, which reaches {at}: {span} behind.",
        "由副本 {replica} 提供，数据截至 {at}，落后 {span}。",
    ),
    (
        "short_catching_up",
        "Answered by replica {replica}, which is catching up.",
        "由副本 {replica} 提供，该副本仍在追赶。",
    ),
    (
        "short_incomplete",
        "Answered by replica {replica}, which lacks a part of what is older.",
        "由副本 {replica} 提供，该副本较早的数据不完整。",
    ),
    ("since", "since {at}", "自 {at}"),
    ("skip_to_content", "Skip to content", "跳到正文"),
    ("source", "Source", "数据源"),
    ("source_said", "The source said", "数据源返回"),
    ("span_12h", "12 hours", "12 小时"),
    ("span_24h", "24 hours", "24 小时"),
    ("span_3h", "3 hours", "3 小时"),
    ("span_7d", "7 days", "7 天"),
    ("span_d", "{n} d", "{n} 天"),
    ("span_h", "{n} h", "{n} 小时"),
    ("span_label", "Span shown", "显示时段"),
    ("span_m", "{n} min", "{n} 分钟"),
    ("span_s", "{n} s", "{n} 秒"),
    ("speed_title", "Time runs {n} times as fast as life", "时间以 {n} 倍速运行"),
    ("state_firing", "Firing", "告警中"),
    ("state_learning", "Learning", "学习中"),
    ("state_missing", "No data", "无数据"),
    ("state_normal", "Normal", "正常"),
    ("state_outside", "Outside", "超出区间"),
    ("state_pending", "Pending", "待确认"),
    ("state_resolved", "Resolved", "已恢复"),
    (
        "store_copying",
        "Incomplete: what it missed is being copied from {from}, done down to {at}",
        "数据不完整：正从 {from} 复制缺失部分，已复制到 {at}",
    ),
    (
        "store_copying_begun",
        "Incomplete: what it missed is being copied from {from}",
        "数据不完整：正从 {from} 复制缺失部分",
    ),
    ("store_down", "Down: {why}", "不可用：{why}"),
    ("store_hopeless", "Incomplete: no store has what it missed", "数据不完整：缺失部分已无存储可供复制"),
    ("store_waiting", "Incomplete: waiting for a store to copy from", "数据不完整：等待可供复制的存储"),
    ("story_detected", "found after {span}", "{span} 后发现"),
    ("story_firing", "the alert still fires", "告警仍在持续"),
    ("story_in", "in {span} of your time", "{span} 后开始（实际时间）"),
    ("story_missed", "not found", "未发现"),
    ("story_notified", "told", "已通知"),
    ("story_resolved", "resolved at {at}", "{at} 恢复"),
    ("story_title", "What this demo does", "演示内容"),
    ("story_watching", "watching …", "监测中……"),
    ("supplies_band", "supplies the band", "提供区间"),
    ("suppressed", "Nobody is told", "未通知"),
    ("to_whom", "Receiver", "接收方"),
    ("took", "Took", "耗时"),
    ("transition_firing", "fires", "触发"),
    ("transition_pending", "pending", "待确认"),
    ("transition_resolved", "resolved", "恢复"),
    ("transition_severity_changed", "severity changed", "级别变化"),
    ("transitions", "What happened", "经过"),
    ("unavailable", "No answer", "无应答"),
    (
        "unavailable_words",
        "Tidemark cannot read this just now. Nothing is lost; try again in a moment.",
        "Tidemark 暂时无法读取。数据没有丢失，请稍后再试。",
    ),
    ("untold_backfill", "it lies in history that was taken in", "属于补录的历史数据"),
    ("untold_no_channel", "this receiver has no channel", "该接收方没有渠道"),
    ("untold_resolved_before_notice", "it was over before anybody was told", "通知之前已恢复"),
    ("uptime", "up {span}", "已运行 {span}"),
    ("value", "Value", "数值"),
    ("waiting", "waiting for its first tick", "等待首次采样"),
    ("what", "What", "内容"),
    ("when", "When", "时间"),
    ("why", "Why", "原因"),
    ("yes", "yes", "是"),
];

#[cfg(test)]
mod tests {
    use super::TEXTS;

    const TEMPLATES: [&str; 5] = [
        include_str!("../templates/alert.html"),
        include_str!("../templates/base.html"),
        include_str!("../templates/error.html"),
        include_str!("../templates/overview.html"),
        include_str!("../templates/series.html"),
    ];
    const SCRIPTS: [&str; 7] = [
        include_str!("../assets/alert.js"),
        include_str!("../assets/chart.js"),
        include_str!("../assets/format.js"),
        include_str!("../assets/overview.js"),
        include_str!("../assets/page.js"),
        include_str!("../assets/rows.js"),
        include_str!("../assets/series.js"),
    ];
    const SOURCES: [&str; 6] = [
        include_str!("format.rs"),
        include_str!("pages.rs"),
        include_str!("pages/alert.rs"),
        include_str!("pages/layout.rs"),
        include_str!("pages/series.rs"),
        include_str!("reason.rs"),
    ];
    /// Families of keys, of which a part comes from elsewhere.
    const FAMILIES: [&str; 15] = [
        "algorithm_",
        "about_",
        "abstained_",
        "channel_",
        "kind_",
        "message_",
        "note_",
        "number_",
        "phase_",
        "severity_",
        "span_",
        "state_",
        "store_",
        "transition_",
        "untold_",
    ];

    /// What stands between each `open` and the next `close`.
    fn between<'a>(text: &'a str, open: &'a str, close: char) -> impl Iterator<Item = &'a str> {
        text.split(open).skip(1).filter_map(move |rest| rest.split(close).next())
    }

    fn is_key(text: &str) -> bool {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    }

    fn known(key: &str) -> bool {
        TEXTS.iter().any(|(have, ..)| *have == key)
    }

    #[test]
    fn every_key_that_is_asked_for_is_there() {
        let in_templates = TEMPLATES.iter().flat_map(|text| between(text, "{{ t.", ' '));
        let calls = [" t(\"", "(t(\"", "{t(\"", "[t(\"", "${t(\""];
        let in_scripts =
            calls.iter().flat_map(|call| SCRIPTS.iter().flat_map(|text| between(text, call, '"')));
        let columns =
            SCRIPTS.iter().flat_map(|text| between(text, "), [\"", ']')).flat_map(|all| all.split("\", \""));
        let in_scripts = in_scripts.chain(columns.map(|key| key.trim_matches('"')));
        let in_sources = SOURCES.iter().flat_map(|text| between(text, "text(\"", '"'));
        let in_facts = SOURCES.iter().flat_map(|text| between(text, "(language, \"", '"'));
        let mut asked = 0;
        for key in in_templates.chain(in_scripts).chain(in_sources).chain(in_facts).filter(|key| is_key(key))
        {
            assert!(known(key), "`{key}` has no text");
            asked += 1;
        }
        assert!(asked > 100, "only {asked} keys were found: this test no longer finds them");
    }

    #[test]
    fn no_text_is_left_over() {
        let all = [TEMPLATES.concat(), SCRIPTS.concat(), SOURCES.concat()].concat();
        for (key, ..) in TEXTS {
            let named = all.contains(&format!("\"{key}\"")) || all.contains(&format!("t.{key}"));
            let family = FAMILIES.iter().any(|family| key.starts_with(family));
            assert!(named || family, "`{key}` is used nowhere");
        }
    }

    #[test]
    fn both_languages_fill_in_the_same_names() {
        for (key, en, zh) in TEXTS {
            let names = |text| {
                let mut names: Vec<&str> = between(text, "{", '}').collect();
                names.sort_unstable();
                names
            };
            assert_eq!(names(en), names(zh), "{key}");
        }
    }
}
