//! Which crate of the workspace may know which: the folders show the way of a number, and a check keeps them apart.

use std::collections::BTreeSet;

use serde_json::Value;

/// What a crate may depend on: crates of the workspace, for building, testing and running alike.
struct Rule {
    name: &'static str,
    may_know: &'static [&'static str],
}

/// Every crate of the workspace. Collector, tsdb, detector, notifier and console never depend on one another; only
/// tsdb may depend on queue; model on none.
const RULES: [Rule; 11] = [
    Rule { name: "model", may_know: &[] },
    Rule { name: "queue", may_know: &["model"] },
    // Runs servers for tests; only ever a dev-dependency.
    Rule { name: "components", may_know: &[] },
    Rule { name: "collector", may_know: &["model", "components"] },
    Rule { name: "tsdb", may_know: &["model", "queue", "components"] },
    Rule { name: "detector", may_know: &["model"] },
    Rule { name: "notifier", may_know: &["model"] },
    Rule { name: "console", may_know: &["model"] },
    Rule {
        name: "tidemark",
        may_know: &["model", "queue", "collector", "tsdb", "detector", "notifier", "console", "components"],
    },
    // Tests of the real binary: they see what a user sees, and may read values and the log.
    Rule { name: "tests", may_know: &["model", "queue", "tsdb", "tidemark"] },
    Rule { name: "xtask", may_know: &[] },
];

/// Fails naming every edge that must not be.
pub(crate) fn check() -> Result<String, String> {
    let metadata = crate::metadata()?;
    let wrong = violations(&metadata)?;
    if wrong.is_empty() { Ok("crates know only whom they may know".into()) } else { Err(wrong.join("\n")) }
}

fn violations(metadata: &Value) -> Result<Vec<String>, String> {
    let packages = metadata["packages"].as_array().ok_or("cargo metadata has no packages")?;
    let name = |package: &Value| package["name"].as_str().unwrap_or_default().to_owned();
    let own: BTreeSet<String> = packages.iter().map(name).collect();
    let mut wrong = Vec::new();
    for package in packages {
        let from = name(package);
        let Some(rule) = RULES.iter().find(|rule| rule.name == from) else {
            wrong.push(format!(
                "crate `{from}` has no rule: say in xtask/src/deps.rs which crates it may know"
            ));
            continue;
        };
        let known = package["dependencies"].as_array().into_iter().flatten().map(name);
        let known: BTreeSet<String> = known.filter(|to| own.contains(to)).collect();
        for to in known.iter().filter(|to| !rule.may_know.contains(&to.as_str()) && **to != from) {
            wrong.push(format!("crate `{from}` depends on `{to}`: it may know {}", list(rule.may_know)));
        }
    }
    Ok(wrong)
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none of the workspace".into() } else { format!("only {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(packages: &[(&str, &[&str])]) -> String {
        let package = |(name, known): &(&str, &[&str])| {
            let known: Vec<Value> = known.iter().map(|name| json!({"name": name})).collect();
            json!({"name": name, "dependencies": known})
        };
        let packages: Vec<Value> = packages.iter().map(package).collect();
        violations(&json!({"packages": packages})).expect("metadata").join("\n")
    }

    #[test]
    fn the_way_of_a_number_is_allowed() {
        let packages: [(&str, &[&str]); 4] = [
            ("model", &["serde"]),
            ("queue", &["model", "tokio"]),
            ("tsdb", &["model", "queue"]),
            ("tidemark", &["model", "queue", "tsdb"]),
        ];
        assert_eq!(check(&packages), "");
    }

    #[test]
    fn a_forbidden_edge_is_named() {
        let packages: [(&str, &[&str]); 5] = [
            ("model", &["queue"]),
            ("queue", &["model"]),
            ("detector", &["model", "queue", "tsdb"]),
            ("tsdb", &["detector"]),
            ("extra", &[]),
        ];
        insta::assert_snapshot!(check(&packages), @"
        crate `model` depends on `queue`: it may know none of the workspace
        crate `detector` depends on `queue`: it may know only model
        crate `detector` depends on `tsdb`: it may know only model
        crate `tsdb` depends on `detector`: it may know only model, queue, components
        crate `extra` has no rule: say in xtask/src/deps.rs which crates it may know
        ");
    }
}
