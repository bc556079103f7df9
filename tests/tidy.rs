//! Holds the structure: which folder may use what, how long a file may be, and what no file may contain.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const MAX_LINES: usize = 500;

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The lines outside comments and test modules, numbered from 1.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.text.find("#[cfg(test)]\nmod ").unwrap_or(self.text.len());
        let lines = self.text[..end].lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs") || self.path.ends_with("/properties.rs")
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} has no Rust files");
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file is UTF-8");
            let path = path.strip_prefix(root()).expect("below the root").display().to_string();
            found.push(Source { path, text });
        }
    }
}

fn assert_none(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Every use of one of `forbidden` in the folder's code.
fn uses(folder: &str, forbidden: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources(folder).iter().filter(|source| !source.is_test()) {
        for (number, line) in source.code() {
            for word in forbidden.iter().filter(|word| line.contains(**word)) {
                faults.push(format!("{}:{number}: {folder} may not use {word}", source.path));
            }
        }
    }
    faults
}

#[test]
fn the_rules_are_pure() {
    let outside = [
        "tokio",
        "async ",
        "rdkafka",
        "postgres",
        "serde_json",
        "apache_avro",
        "impl Serialize",
        "impl<'de> Deserialize",
        "tracing::",
        "metrics::",
        "SystemTime",
        "Instant::now",
        "Timestamp::now",
        "Zoned::now",
        "std::fs",
        "std::net",
        "std::env",
        "crate::store",
        "crate::kafka",
        "crate::codec",
        "crate::worker",
        "crate::config",
        "crate::cli",
        "crate::query",
        "crate::audit",
        "crate::telemetry",
    ];
    let mut faults = uses("src/domain", &outside);
    faults.extend(uses("src/batch", &outside));
    faults.extend(uses("src/domain", &["crate::batch", "crate::record"]));
    assert_none(faults);
}

#[test]
fn dependencies_point_inwards() {
    let rules: [(&str, &[&str]); 5] = [
        ("src/store", &["crate::kafka", "crate::codec", "crate::worker", "crate::cli", "crate::audit"]),
        ("src/kafka", &["crate::store", "crate::codec", "crate::worker", "crate::cli", "crate::audit", "crate::batch"]),
        ("src/codec", &["crate::store", "crate::kafka", "crate::worker", "crate::cli", "crate::audit"]),
        ("src/query", &["crate::kafka", "crate::codec", "crate::worker", "crate::cli", "crate::audit"]),
        ("src/worker", &["crate::cli", "crate::audit", "crate::query"]),
    ];
    assert_none(rules.iter().flat_map(|(folder, forbidden)| uses(folder, forbidden)).collect());
}

/// The domain from its foundation up: a file uses only files above it in this list.
const FLOORS: [&str; 45] = [
    "values/words",
    "values/amount",
    "values/text",
    "values/time",
    "values/ids",
    "values/position",
    "ledger/event_type",
    "ledger/entry",
    "ledger/account",
    "ledger/balance",
    "ledger/memory",
    "customer/profile",
    "customer/identifiers",
    "customer/enrolment",
    "customer/state",
    "customer/changes",
    "field_check",
    "config/history",
    "config/objects",
    "config/unit",
    "config/settings",
    "config/merchant",
    "command/envelope",
    "command/fields",
    "command/list",
    "command/delivery",
    "command",
    "rejection",
    "membership",
    "outcome",
    "event",
    "parking",
    "book",
    "settle",
    "case",
    "rule",
    "rules/card_enrolment",
    "rules/credit_amount",
    "rules/redeem_amount",
    "rules/customer_proposal",
    "rules/customer_upsert",
    "rules/configure",
    "rules/dispatch",
    "rules",
    "decide",
];

#[test]
fn the_domain_is_built_in_floors() {
    let floor = |name: &str| FLOORS.iter().position(|floor| *floor == name);
    let mut faults = Vec::new();
    for source in sources("src/domain").iter().filter(|source| !source.is_test()) {
        let name = source.path.trim_start_matches("src/domain/").trim_end_matches(".rs");
        // A folder's own file and the domain's only name what they have.
        if name == "mod" || name.ends_with("/mod") {
            continue;
        }
        let Some(own) = floor(name) else {
            faults.push(format!("{}: is on no floor of this list", source.path));
            continue;
        };
        for (number, line) in source.code() {
            if line.contains("super::") && !line.contains("use super::*") {
                faults.push(format!(
                    "{}:{number}: names a module from the domain's root: crate::domain::...",
                    source.path
                ));
            }
            for used in line.split("crate::domain::").skip(1) {
                let mut steps =
                    used.split("::").map(|step| step.trim_matches(|c: char| !c.is_alphanumeric() && c != '_'));
                let (first, second) = (steps.next().unwrap_or_default(), steps.next().unwrap_or_default());
                let target = floor(&format!("{first}/{second}")).or_else(|| floor(first));
                match target {
                    Some(target) if target < own => {}
                    Some(_) => faults.push(format!("{}:{number}: {name} may not use {first}::{second}", source.path)),
                    None => faults.push(format!("{}:{number}: {first}::{second} is no file of the list", source.path)),
                }
            }
        }
    }
    assert_none(faults);
}

/// The files that a source names, as far as their paths say: `crate::a::b` and `super::c`, also in groups. A folder's own file only declares.
fn named_by<'s>(source: &Source, root: &str, all: &'s [String]) -> BTreeSet<&'s str> {
    let own: Vec<&str> = module_of(&source.path, root).collect();
    let parent = if source.path.ends_with("/mod.rs") { &own[..] } else { &own[..own.len().saturating_sub(1)] };
    let code: String = source.code().map(|(_, line)| line).collect();
    let mut named = BTreeSet::new();
    for (word, base) in [("crate::", &[][..]), ("super::", parent)] {
        for (at, _) in code.match_indices(word) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let mut rest = &code[at + word.len()..];
            let mut steps = base.to_vec();
            while let Some(upper) = rest.strip_prefix("super::") {
                steps.pop();
                rest = upper;
            }
            let path = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
            let end = rest.find(|c| !path(c)).unwrap_or(rest.len());
            steps.extend(rest[..end].split("::").filter(|step| !step.is_empty()));
            let group = rest[end..].strip_prefix('{').map_or("", |group| group.split(';').next().unwrap_or_default());
            let first_of_each = group.split(',').map(|part| part.trim().split("::").next().unwrap_or_default());
            for last in std::iter::once("").chain(first_of_each) {
                let full = steps.iter().copied().chain(Some(last).filter(|last| !last.is_empty())).collect::<Vec<_>>();
                let found = (1..=full.len()).rev().find_map(|length| {
                    let file = format!("{root}/{}.rs", full[..length].join("/"));
                    all.iter().find(|path| **path == file)
                });
                named.extend(found.map(String::as_str).filter(|path| *path != source.path));
            }
        }
    }
    named
}

fn module_of<'p>(path: &'p str, root: &str) -> impl Iterator<Item = &'p str> {
    let module = path[root.len() + 1..].trim_end_matches(".rs").trim_end_matches("/mod");
    module.split('/').filter(|step| *step != "mod")
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let mut faults = Vec::new();
    for root in ["src", "load"] {
        let sources: Vec<Source> =
            sources(root).into_iter().filter(|source| !source.path.contains("/tests/")).collect();
        let all: Vec<String> = sources.iter().map(|source| source.path.clone()).collect();
        let mut uses: BTreeMap<&str, BTreeSet<&str>> =
            sources.iter().map(|source| (source.path.as_str(), named_by(source, root, &all))).collect();
        assert!(uses.values().map(BTreeSet::len).sum::<usize>() > all.len(), "the imports of {root} are not read");
        // What uses nothing that is left is in no circle; nor is what nothing that is left uses.
        loop {
            let used: BTreeSet<&str> = uses.values().flatten().copied().collect();
            let done: Vec<&str> = uses
                .iter()
                .filter(|(file, uses)| uses.is_empty() || !used.contains(*file))
                .map(|(file, _)| *file)
                .collect();
            if done.is_empty() {
                break;
            }
            uses.retain(|file, _| !done.contains(file));
            uses.values_mut().for_each(|named| named.retain(|file| !done.contains(file)));
        }
        faults.extend(uses.into_iter().map(|(file, named)| format!("{file}: in a circle with {named:?}")));
    }
    assert_none(faults);
}

#[test]
fn the_audit_shares_no_code_with_what_it_judges() {
    let judged = [
        "crate::batch",
        "crate::worker",
        "crate::codec",
        "domain::decide",
        "domain::book",
        "domain::settle",
        "Account::",
    ];
    assert_none(uses("src/audit", &judged));
}

#[test]
fn files_can_be_read_in_one_sitting() {
    let all = ["src", "tests", "load", "examples"].iter().flat_map(|folder| sources(folder));
    let long = all.filter(|source| source.text.lines().count() > MAX_LINES);
    assert_none(long.map(|source| format!("{}: more than {MAX_LINES} lines", source.path)).collect());
}

#[test]
fn nothing_is_unfinished_or_switched_off() {
    // Written in two parts, so that this file does not find itself.
    let words = [("to", "do!("), ("unimpl", "emented!("), ("db", "g!("), ("#[ign", "ore"), ("FIX", "ME")];
    let mut faults = Vec::new();
    for source in ["src", "tests", "load", "examples"].iter().flat_map(|folder| sources(folder)) {
        for (number, line) in source.text.lines().enumerate() {
            for (start, end) in words {
                if line.contains(&format!("{start}{end}")) {
                    faults.push(format!("{}:{}: {start}{end}", source.path, number + 1));
                }
            }
        }
    }
    assert_none(faults);
}

#[test]
fn errors_are_values() {
    let mut faults = Vec::new();
    for source in sources("src").iter().filter(|source| !source.is_test()) {
        for (number, line) in source.code().filter(|(_, line)| line.contains(".unwrap()")) {
            faults.push(format!("{}:{number}: {}", source.path, line.trim()));
        }
    }
    assert_none(faults);
}

#[test]
fn tests_wait_for_conditions_and_not_for_time() {
    let mut faults = Vec::new();
    for source in sources("tests") {
        for (number, line) in source.text.lines().enumerate() {
            if ["thread::sl", "time::sl"].iter().any(|start| line.contains(&format!("{start}eep("))) {
                faults.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert_none(faults);
}

#[test]
fn every_schema_and_migration_is_built_in() {
    let code: String = sources("src").into_iter().map(|source| source.text).collect();
    let mut faults = Vec::new();
    for folder in ["schemas", "migrations"] {
        for entry in fs::read_dir(root().join(folder)).expect("the folder exists") {
            let name = entry.expect("a folder entry").file_name().into_string().expect("UTF-8 names");
            if !code.contains(&format!("{folder}/{name}")) {
                faults.push(format!("{folder}/{name} is not used"));
            }
        }
    }
    assert_none(faults);
}

/// A Kubernetes job can't be changed: under the name of the version before, the next one's would be refused.
#[test]
fn what_is_deployed_is_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let path = "deploy/kubernetes/loyalty-worker.yaml";
    let text = fs::read_to_string(root().join(path)).expect("a manifest");
    let ends = [
        ("image: ", format!(":{version}")),
        ("name: loyalty-worker-set-up-", format!("-{}", version.replace('.', "-"))),
    ];
    let mut faults = Vec::new();
    for (what, end) in ends {
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(what)).collect();
        assert!(!lines.is_empty(), "{path} has no line with {what}");
        let others = lines.into_iter().filter(|line| !line.ends_with(&end));
        faults.extend(others.map(|line| format!("{path}: not of version {version}: {}", line.trim())));
    }
    assert_none(faults);
}
