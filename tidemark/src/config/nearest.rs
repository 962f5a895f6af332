//! The nearest valid name.

/// The valid name most like this one; `None` when nothing is near.
pub(crate) fn nearest<'a>(name: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Distances cost the product of both lengths.
    if name.len() > 200 {
        return None;
    }
    let lower = name.to_lowercase();
    let allowed = (name.chars().count() / 3).clamp(1, 4);
    valid
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Most names a message lists when it has a nearest one.
const LISTED: usize = 12;

/// `, did you mean ..?` and the valid names, as far as they help.
pub(crate) fn hint(name: &str, valid: &[&str]) -> String {
    let near = nearest(name, valid.iter().copied());
    let guess = near.map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
    match (valid.is_empty(), near.is_some() && valid.len() > LISTED) {
        (true, _) => ": there is none".to_owned(),
        (false, true) => guess,
        (false, false) => format!("{guess} (valid: {})", valid.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_far_ones_are_not_guessed() {
        let valid = ["interval", "timeout", "source", "cron"];
        let table = [
            ("intervall", Some("interval")),
            ("Timeout", Some("timeout")),
            ("soruce", Some("source")),
            ("crno", Some("cron")),
            ("x", None),
            ("whatever", None),
        ];
        for (name, expected) in table {
            assert_eq!(nearest(name, valid), expected, "{name}");
        }
    }

    #[test]
    fn hints_list_what_is_valid() {
        assert_eq!(hint("shp", &["shop", "risk"]), ", did you mean `shop`? (valid: shop, risk)");
        assert_eq!(hint("xyz", &["shop"]), " (valid: shop)");
        assert_eq!(hint("xyz", &[]), ": there is none");
    }
}
