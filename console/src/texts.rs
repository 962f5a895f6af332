//! Every text of the console, English and Chinese, by key. Sorted by key.

/// (key, English, Chinese)
pub(crate) const TEXTS: &[(&str, &str, &str)] = &[
    ("app_name", "Tidemark", "Tidemark"),
    ("tagline", "Business metrics and their normal course", "业务指标与它们的正常走势"),
];
