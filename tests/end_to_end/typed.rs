//! Every command of the product that the documents show, run as it stands there, in one installation: first what sets it up, then what is
//! typed beside a worker, last what wants the workers stopped. Each must end well. What is typed to others asks them the same.

use std::fs;

use serde_json::{Value, json};

use crate::documents::{Block, blocks, document, examples};
use crate::load::murmur2::partition_of;
use crate::support::Installation;
use crate::support::stack::{Stack, log_dirs, root};
use crate::support::topics::ByHand;
use crate::support::worker::Worker;

/// As the documents have it.
const LANES: i32 = 8;
const SET_UP: [&str; 4] = ["config default", "migrate", "topics create", "schemas register"];
const WITHOUT_A_WORKER: [&str; 3] = ["recover", "lanes resize", "audit --expect-idle"];

/// A line of a document.
struct Typed {
    /// Where it stands, for who mends it.
    place: String,
    arguments: Vec<String>,
    /// The file that takes what it prints.
    into: Option<String>,
}

impl Typed {
    fn begins_with(&self, any: &[&str]) -> bool {
        any.iter().any(|words| self.arguments.join(" ").starts_with(words))
    }

    /// A reader's own names in place of the document's.
    fn adapt(&mut self, replace: &[(&str, &str)]) {
        for argument in &mut self.arguments {
            if let Some((_, own)) = replace.iter().find(|(shown, _)| argument == shown) {
                *argument = (*own).to_owned();
            }
        }
    }

    fn run(&self, installation: &Installation) {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let done = installation.call(&arguments);
        assert_eq!(done.code, Some(0), "{}: {arguments:?}\n{}{}", self.place, done.stdout, done.stderr);
        if let Some(file) = &self.into {
            fs::write(installation.folder().join(file), done.stdout).expect("a file");
        }
    }
}

#[test]
fn every_command_of_the_documents_does_its_work() {
    let mut installation = Installation::bare(&Stack::shared(), "typed");
    installation.lanes = LANES;
    // A broker is alone here, and roles are the server's.
    let create = "create role loyalty_worker; create role loyalty_reader";
    let create = format!("do $$ begin {create}; exception when duplicate_object then null; end $$");
    installation.server().execute(&create);
    let mut all = typed();
    all.iter_mut().for_each(|line| line.adapt(&[("3", "1")]));
    let (set_up, rest): (Vec<Typed>, Vec<Typed>) = all.into_iter().partition(|line| line.begins_with(&SET_UP));
    let (last, beside): (Vec<Typed>, Vec<Typed>) =
        rest.into_iter().partition(|line| line.begins_with(&WITHOUT_A_WORKER));
    assert!(
        set_up.len() > 6 && beside.len() > 20 && last.len() > 2,
        "{} {} {}",
        set_up.len(),
        beside.len(),
        last.len()
    );
    set_up.iter().for_each(|line| line.run(&installation));

    let worker = installation.worker();
    worker.await_all_lanes();
    write_files(&installation);
    let letters = dead_letters(&installation);
    for mut line in beside {
        line.adapt(&[("3/17", &letters)]);
        match line.arguments.last().map(String::as_str) {
            // That is what the worker beside it is.
            _ if line.begins_with(&["run"]) => {}
            Some("--follow") => {
                let arguments: Vec<&str> = line.arguments.iter().map(String::as_str).collect();
                let mut sent = 0;
                installation.follow(&arguments, || {
                    sent += 1;
                    send_customer(&installation, &format!("new-{sent}"), None);
                });
            }
            _ => line.run(&installation),
        }
    }
    let (status, body) = worker.ready();
    assert_eq!(status, 200, "{body}");
    others(&installation, &worker);
    worker.finish();
    last.iter().for_each(|line| line.run(&installation));
}

/// What the documents ask a worker's HTTP, Postgres and Kafka, without the programs that they do it by: not every machine has them.
fn others(installation: &Installation, worker: &Worker) {
    let mut asked = [0; 3];
    for (place, line) in lines() {
        match line.split_whitespace().next() {
            Some("curl") => {
                asked[0] += 1;
                let (_, path) = line.split_once(" localhost:9464").unwrap_or_else(|| panic!("{place}: {line}"));
                let (status, body) = worker.get_json(path.split_whitespace().next().unwrap_or_default());
                assert!(status == 200 && body.is_object(), "{place}: {status} {body}");
            }
            Some("psql") => {
                asked[1] += 1;
                let query = line.split_once(" -c \"").and_then(|(_, rest)| rest.strip_suffix('"'));
                let query = query.unwrap_or_else(|| panic!("{place}: {line}"));
                assert!(!installation.database().rows(query).is_empty(), "{place}: no rows");
            }
            Some("kafka-log-dirs.sh") => {
                asked[2] += 1;
                let arguments = line.split_whitespace().skip(1).map(|word| match word {
                    "\"$LOYALTY_KAFKA__BOOTSTRAP_SERVERS\"" => &installation.stack.bootstrap,
                    other => other,
                });
                let printed = log_dirs(&arguments.collect::<Vec<_>>());
                assert!(printed.contains(&format!("{}results-0", installation.prefix)), "{place}: {printed}");
            }
            _ => {}
        }
    }
    assert!(asked.iter().all(|times| *times > 0), "{asked:?}");
}

fn documents() -> Vec<String> {
    let names = fs::read_dir(root().join("docs")).expect("the folder exists");
    let names = names.map(|entry| entry.expect("a folder entry").file_name().into_string().expect("UTF-8 names"));
    let mut paths: Vec<String> =
        names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect();
    paths.sort();
    paths.insert(0, "README.md".to_owned());
    paths
}

/// The product's own commands, in the order of the documents.
fn typed() -> Vec<Typed> {
    lines().into_iter().filter_map(|(place, line)| of_line(place, &line)).collect()
}

/// All that is to be typed, and where it stands.
fn lines() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in documents() {
        for Block { line, text, .. } in blocks(&document(&path)).into_iter().filter(|block| block.language == "sh") {
            let numbered = (line + 1..).zip(text.lines());
            found.extend(numbered.map(|(number, line)| (format!("{path}:{number}"), line.to_owned())));
        }
    }
    found
}

fn of_line(place: String, line: &str) -> Option<Typed> {
    let words: Vec<&str> = line.split_whitespace().take_while(|word| !word.starts_with(['#', '|', ';', '&'])).collect();
    let (program, arguments) = words.split_first()?;
    if *program != "loyalty-worker" && !program.ends_with("/loyalty-worker") {
        return None;
    }
    let redirected = arguments.iter().position(|word| *word == ">");
    let (arguments, into) = arguments.split_at(redirected.unwrap_or(arguments.len()));
    let into = into.get(1).map(|file| (*file).to_owned());
    Some(Typed { place, arguments: arguments.iter().map(|word| (*word).to_owned()).collect(), into })
}

/// What the documents have their reader write: `cat > FILE <<'END'`. And all examples.
fn write_files(installation: &Installation) {
    for path in documents() {
        for part in document(&path).split("\ncat > ").skip(1) {
            let (file, rest) = part.split_once(" <<'END'\n").unwrap_or_else(|| panic!("{path}: cat > {part:.60}"));
            let (text, _) = rest.split_once("\nEND\n").unwrap_or_else(|| panic!("{path}: {file} has no end"));
            fs::write(installation.folder().join(file), text).expect("a file");
        }
    }
    let lines: Vec<String> = examples().iter().map(crate::documents::Example::to_send).collect();
    fs::write(installation.folder().join("commands.jsonl"), lines.join("\n")).expect("a file");
}

fn send_customer(installation: &Installation, name: &str, partition: Option<i32>) {
    let envelope = json!({ "merchant_id": "shop-1", "idempotency_key": name });
    let value = json!({ "envelope": envelope, "command": { "external_id": name } }).to_string().into_bytes();
    let record = ByHand { key: Some(b"shop-1"), value: Some(&value), headers: &[], partition };
    installation.topics().write("customer-upsert", record);
}

/// Three commands of shop-1 that stand on a partition that is not theirs; where the first one's dead letter lies.
fn dead_letters(installation: &Installation) -> String {
    let wrong = (partition_of(b"shop-1", LANES) + 1) % LANES;
    for name in ["astray-1", "astray-2", "astray-3"] {
        send_customer(installation, name, Some(wrong));
    }
    crate::support::eventually("three dead letters", || {
        let listed = installation.must(&["dead-letters", "list", "--json"]);
        let letters: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let place = &letters.first()?["dead_letter"];
        (letters.len() == 3).then(|| format!("{}/{}", place["partition"], place["offset"]))
    })
}
