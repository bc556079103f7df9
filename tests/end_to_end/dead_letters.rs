//! Dead letters as an operator meets them: listed, shown, mended, and sent again once, with the time when they came first.

use loyalty_worker::codec::framing;
use serde_json::{Value, json};

use crate::load::now_micros;
use crate::support::commands::Shop;
use crate::support::topics::ByHand;
use crate::support::{Installation, LANES};

/// What `dead-letters list` has for these options.
fn listed(installation: &Installation, options: &[&str]) -> Vec<Value> {
    let told = installation.must(&[&["dead-letters", "list", "--json"], options].concat());
    told.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect()
}

/// The one of this class.
fn of_class(installation: &Installation, class: &str) -> Value {
    let mut letters = listed(installation, &["--class", class]);
    assert_eq!(letters.len(), 1, "{letters:?}");
    letters.remove(0)
}

fn place(letter: &Value) -> String {
    format!("{}/{}", letter["dead_letter"]["partition"], letter["dead_letter"]["offset"])
}

/// The result that a replay of one record waits for.
fn replayed(installation: &Installation, arguments: &[&str]) -> Value {
    let told = installation.must(&[&["dead-letters", "replay", "--wait", "60"], arguments].concat());
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{told}: {error}"))
}

/// How a replay ends, and what it says.
fn assert_says(installation: &Installation, arguments: &[&str], code: i32, sentence: &str) {
    let done = installation.call(&[&["dead-letters", "replay"], arguments].concat());
    assert_eq!(done.code, Some(code), "{arguments:?}: {}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains(sentence), "{arguments:?} does not say {sentence:?}: {}", done.stderr);
}

/// Brokers give times in milliseconds.
fn assert_between(instant: &Value, before: i64, after: i64) {
    let at: jiff::Timestamp = instant.as_str().expect("an instant").parse().expect("RFC 3339");
    assert!((before / 1000 * 1000..=after).contains(&at.as_microsecond()), "{at} is not from {before} to {after}");
}

#[test]
fn what_cannot_be_answered_is_listed_shown_and_sent_again_once() {
    let installation = Installation::new("dead-letters");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    shop.open("ada");
    let (merchant, other) = (shop.merchant, Shop::of_lane(&installation, 1).merchant);
    let command = shop.credit("order-1", "ada", 70).to_string().into_bytes();
    let unknown_schema = framing::confluent(4_000_000, Vec::new(), |out| out.extend(b"some"));
    let trace = [("traceparent".to_owned(), b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_vec())];
    let with = |key: &'static str, value, partition| ByHand {
        key: Some(key.as_bytes()),
        value: Some(value),
        headers: &trace,
        partition,
    };
    let (undecodable, _) = shop.ask_in_vain("credit", with(merchant, &b"hello"[..], None));
    shop.ask_in_vain("redeem", with(merchant, &unknown_schema, None));
    shop.ask_in_vain("credit", with(other, &command, Some(0)));
    let before = now_micros();
    let (misplaced, _) = shop.ask_in_vain("credit", with(merchant, &command, Some(1)));
    let after = now_micros();

    // In the order in which they came, each with what one looks for.
    let letters = listed(&installation, &[]);
    let classes: Vec<&Value> = letters.iter().map(|letter| &letter["class"]).collect();
    assert_eq!(classes, ["undecodable", "unknown_schema", "wrong_key", "wrong_partition"]);
    let original = &letters[3]["original"];
    assert_eq!(
        (&original["topic"], &original["partition"], &original["offset"]),
        (&json!(format!("{}credit", installation.prefix)), &json!(1), &json!(misplaced.offset))
    );
    assert_between(&original["timestamp"], before, after);
    assert_eq!((&letters[3]["key"], &letters[3]["replayed"]), (&json!(merchant), &Value::Null));
    let table = installation.must(&["dead-letters", "list"]);
    for said in [&*format!("credit/0/{}", undecodable.offset), "unknown_schema", merchant, &place(&letters[2])] {
        assert!(table.contains(said), "{said:?} is not in the table:\n{table}");
    }
    assert_eq!(listed(&installation, &["--merchant", merchant]).len(), 4, "one says it in its value alone");
    assert_eq!(listed(&installation, &["--merchant", other]).len(), 1);
    assert_eq!(listed(&installation, &["--since", "2100-01-01T00:00:00Z"]).len(), 0);

    let shown = |letter: &Value| installation.must(&["dead-letters", "show", &place(letter)]);
    let page = shown(&letters[0]);
    assert!(page.contains("\nhello\n") && page.contains("Its sender sends"), "{page}");
    let page = shown(&letters[1]);
    for said in ["4000000", "00003d0900", "Register the schema", "traceparent = 00-0af7"] {
        assert!(page.contains(said), "{said:?} is not on the page:\n{page}");
    }

    // Its own time, though it is answered now, and the partition where it belongs.
    let misplaced = place(&letters[3]);
    let result = replayed(&installation, &[&misplaced]);
    assert_eq!(
        (&result["status"], &result["duplicate"], &result["command"]["partition"]),
        (&json!("accepted"), &json!(false), &json!(0)),
        "{result}"
    );
    assert_eq!(result["occurred_at"], original["timestamp"]);
    assert_ne!(result["decided_at"], result["occurred_at"]);
    assert!(shown(&letters[3]).contains("as credit/0/"), "{}", shown(&letters[3]));
    let known = of_class(&installation, "wrong_partition");
    assert_eq!((&known["replayed"]["offset"], &known["replayed"]["times"]), (&result["command"]["offset"], &json!(1)));

    // Once; wanted again, it is the same command.
    assert_says(&installation, &[&misplaced], 1, "was replayed before");
    let again = replayed(&installation, &[&misplaced, "--again"]);
    assert_eq!((&again["duplicate"], &again["occurred_at"]), (&json!(true), &original["timestamp"]), "{again}");
    assert_says(&installation, &[&place(&letters[2])], 1, "a replay keeps the key");
    assert_says(&installation, &["--class", "wrong_key"], 2, "a replay keeps the key");
    assert_says(&installation, &[&place(&letters[0]), "0/999999"], 1, "there is no dead letter at 0/999999");
    assert_says(&installation, &["--class", "wrong_partition"], 0, "0 to replay, 1 replayed before");

    // What nobody has mended is a dead letter again, of the same time.
    let arguments = ["--class", "unknown_schema", "--merchant", merchant, "--wait", "60"];
    assert_says(&installation, &arguments, 1, "became dead letters");
    let both = listed(&installation, &["--class", "unknown_schema"]);
    assert_eq!(both.len(), 2);
    assert_eq!(both[0]["original"]["timestamp"], both[1]["original"]["timestamp"]);
    assert_eq!(both[0]["replayed"]["offset"], both[1]["original"]["offset"]);
    // Not for ever.
    for letters in 3..=4 {
        assert_says(&installation, &arguments, 1, "became dead letters");
        assert_eq!(listed(&installation, &["--class", "unknown_schema"]).len(), letters);
    }
    assert_says(&installation, &arguments, 0, "was replayed 3 times, and became a dead letter each time");
    assert_says(&installation, &arguments, 0, "0 to replay, 3 replayed before, 1 that can't be replayed");
    let last = &listed(&installation, &["--class", "unknown_schema"])[3];
    assert_says(&installation, &[&place(last), "--again", "--wait", "60"], 1, "became dead letters");
    worker.finish();
    installation.assert_audit_holds();
}

/// A record halts its lane, is given up, and is answered by a version that can: by the time when it came. A database that is made anew
/// from the topics comes to the same.
#[test]
fn what_was_given_up_is_answered_with_its_own_time() {
    let installation = Installation::new("given-up");
    let worker = installation.worker_with(&[("LOYALTY_POISON_KEY", "poison")]);
    let mut shop = Shop::of_lane(&installation, 0);
    shop.open("ada");
    let before = now_micros();
    let poison = shop.send("credit", &shop.credit("poison", "ada", 1_000));
    let after = now_micros();
    worker.await_halt(0);
    installation.must(&["skip", &format!("credit/0/{}", poison.offset), "--reason", "defect 4711"]);
    assert!(shop.answers.await_answer(&poison).is_dead_letter());
    worker.finish();

    let worker = installation.worker();
    let result = replayed(&installation, &["--class", "skipped", "--merchant", shop.merchant]);
    assert_eq!(
        (&result["status"], &result["balances"][0]["available"]),
        (&json!("accepted"), &json!(1_000)),
        "{result}"
    );
    assert_between(&result["occurred_at"], before, after);
    let letter = of_class(&installation, "skipped");
    assert_eq!(letter["original"]["timestamp"], result["occurred_at"]);
    worker.finish();
    installation.assert_audit_holds();

    let lost = installation.database().digests();
    let anew = format!("{}-anew", installation.database);
    installation.server().execute(&format!("create database \"{anew}\""));
    let restored = installation.with_database(&anew);
    restored.must(&["migrate"]);
    restored.must(&["topics", "create", "--lanes", &LANES.to_string()]);
    restored.must(&["recover"]);
    assert_eq!(restored.database().digests(), lost);
}
