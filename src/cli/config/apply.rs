//! `config apply`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::runtime::Handle;

use super::difference::{Change, Difference, difference};
use super::document::{self, Document};
use crate::cli::answers::{Answer, Answers};
use crate::cli::{CliError, input, output};
use crate::codec::json;
use crate::codec::{Decoder, RegistryClient};
use crate::config::Settings;
use crate::domain::config::MerchantConfig;
use crate::domain::{CommandTopic, Instant, MerchantId, Position};
use crate::kafka::sender::CommandSender;
use crate::kafka::topics;
use crate::query;
use crate::record::TopicNames;
use crate::store::{Databases, StoreError};

/// More than a command takes to the broker, and more than two clocks commonly differ.
const UNCERTAIN_S: i64 = 5 * 60;

#[derive(Args)]
#[command(
    long_about = "Makes a merchant's configuration what a file says, a document as `config export` prints it: shows the difference to what \
                  is in force, field by field, sends the commands that are needed (one for the settings, one for each unit, tier, card and \
                  programme that is new or differs), and waits for their results.\n\nWhat the file does not name stays, and is named: units and other objects, and settings that it \
                  leaves out or has as null. `clear` in the settings, a list, empties what may be empty; `preset` sets what it \
                  stands for, and the fields beside it still count. What is scheduled still comes, and is named: settings as they are then, \
                  but for what the schedule changes; all else whole, as it was put.\n\nThe file is judged by the worker's own rules before \
                  anything is sent. What somebody else has changed is not overwritten: where the file has `versions`, they must be in \
                  force, and each command names the latest version that the difference knows of. It can be run again at any time, also \
                  after it was interrupted: the same change of the same version is the same command, and is applied once.\n\nWorkers must \
                  be of this version or newer; an older one refuses fields that it does not know.",
    after_help = "Examples:
  loyalty-worker config export shop-1 > shop-1.json    # then change it
  loyalty-worker config apply shop-1.json --dry-run
  loyalty-worker config apply shop-1.json
  jq '.merchant_id = \"shop-2\" | del(.versions)' shop-1.json | loyalty-worker config apply -

The least file: {\"merchant_id\":\"shop-1\",\"units\":[{\"unit_id\":\"points\",\"name\":\"Points\",\"expiry_days\":365}]}

Exit codes:
  0  every command was accepted, or there was nothing to do; with --dry-run: nothing speaks against sending
  1  a command was rejected, by the worker or before it was sent: the message says which and why; or a result did not come; or a
     schedule comes into force about now: run it again later
  2  the file is not right; the message names the fields"
)]
pub struct Options {
    /// The document; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only show the difference; send nothing
    #[arg(long)]
    dry_run: bool,
    /// How long to wait for the results
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
}

/// Blocks; runs within the runtime.
pub fn run(options: &Options, settings: &Settings) -> Result<(), CliError> {
    let document = read(&options.file)?;
    let merchant = MerchantId::new(document.merchant_id.as_str());
    let config = Handle::current().block_on(stored(settings, &merchant)).map_err(CliError::failed)?;
    // It reads JSON only, and so asks the registry nothing.
    let decoder = Decoder::new(1, RegistryClient::new(&settings.registry).map_err(CliError::failed)?);
    let now = document::now(&config);
    let found = difference(&document, &config, now, &decoder)?;
    show(&found)?;
    let changes = &found.changes;
    if let Some(uncertain) = changes.iter().find_map(|change| uncertain(change, &config, now)) {
        return Err(CliError::Failed(uncertain));
    }
    let conflicts: Vec<String> = changes.iter().filter_map(Change::conflict).collect();
    if !conflicts.is_empty() {
        return Err(CliError::Failed(format!(
            "{}\nNothing was sent. Export the merchant again and make your change there; or take `versions` out of the file, to make it \
             regardless.",
            conflicts.join("\n")
        )));
    }
    if changes.is_empty() {
        return output::line("Nothing to do.");
    }
    if options.dry_run {
        return output::line("Nothing was sent.");
    }
    send(changes, &merchant, Duration::from_secs(options.wait), settings)
}

/// The worker changes what is in force when the broker has the command, by the broker's clock. About the time when a schedule comes into
/// force, that may be another version than the one that this difference is to.
fn uncertain(change: &Change, config: &MerchantConfig, now: Instant) -> Option<String> {
    let about_now = now.saturating_add_seconds(-UNCERTAIN_S)..=now.saturating_add_seconds(UNCERTAIN_S);
    let versions = config.objects().filter(|object| (object.kind(), object.id()) == (change.kind, change.id.as_str()));
    // What was in force when it was made was not scheduled.
    let mut scheduled = versions.filter(|object| object.effective_from() > object.recorded_at());
    let from = scheduled.find(|object| about_now.contains(&object.effective_from()))?.effective_from();
    Some(format!(
        "{}: what was scheduled for {from} comes into force about now, and by the brokers' clock it may have come or not. Nothing was \
         sent. Run this again five minutes after that time",
        change.object()
    ))
}

fn read(file: &Path) -> Result<Document, CliError> {
    let wrong = |error: &dyn std::fmt::Display| CliError::Usage(format!("{}: {error}", file.display()));
    let mut text = String::new();
    input::open(file)?.read_to_string(&mut text).map_err(|error| wrong(&error))?;
    let parsed = json::parse(text.as_bytes()).map_err(|problem| wrong(&format!("the file {problem}")))?;
    if let Some(path) = parsed.repeated.first() {
        return Err(wrong(&format!("`{}` stands more than once in its object", output::escaped(path))));
    }
    serde_json::from_str(&text).map_err(|error| wrong(&error))
}

/// A merchant that nobody has configured has an empty configuration.
async fn stored(settings: &Settings, merchant: &MerchantId) -> Result<MerchantConfig, StoreError> {
    let store = Databases::connect_merchant(&settings.postgres, merchant).await?;
    Ok(query::merchant_config(&store, merchant).await?.unwrap_or_default())
}

fn show(found: &Difference) -> Result<(), CliError> {
    for line in found.changes.iter().flat_map(|change| &change.lines) {
        output::line(output::escaped(line))?;
    }
    let left = &found.left_alone;
    if !left.is_empty() {
        output::line(format_args!(
            "Left alone, since the file does not name it: {}",
            output::escaped(&left.join(", "))
        ))?;
    }
    let scheduled = &found.scheduled;
    if !scheduled.is_empty() {
        output::line(format_args!("Still to come, as it was scheduled: {}", output::escaped(&scheduled.join(", "))))?;
    }
    Ok(())
}

fn send(changes: &[Change], merchant: &MerchantId, patience: Duration, settings: &Settings) -> Result<(), CliError> {
    let names = TopicNames::new(settings.kafka.topic_prefix.as_str());
    Handle::current().block_on(topics::reach(&settings.kafka)).map_err(CliError::failed)?;
    let sender = CommandSender::new(&settings.kafka, &names).map_err(CliError::failed)?;
    let mut answers = Answers::open(settings, &names, patience)?;
    let topic = CommandTopic::MerchantConfig;
    for change in changes {
        let value = change.record(merchant);
        let sent = Handle::current().block_on(sender.send(topic, merchant.as_str().as_bytes(), &value, &[]));
        let (partition, offset) = sent.map_err(CliError::failed)?;
        answers.expect(Position { topic, partition, offset }, change.object());
    }
    let mut refused = Vec::new();
    answers.follow(|object, answer| match told(&answer) {
        Ok(accepted) => output::line(format_args!("{object}: {accepted}")),
        Err(why) => {
            refused.push(format!("{object}: {why}"));
            output::line(format_args!("{object}: {why}"))
        }
    })?;
    match refused.as_slice() {
        [] => Ok(()),
        refused => Err(CliError::Failed(format!(
            "{} of {} commands were not accepted:\n  {}",
            refused.len(),
            changes.len(),
            refused.join("\n  ")
        ))),
    }
}

/// An answer for people; the error is why the command was not accepted.
fn told(answer: &Answer) -> Result<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match answer {
        Answer::DeadLetter(headers) => {
            Err(format!("became a dead letter: {}", text(&headers["__connect.errors.exception.message"])))
        }
        Answer::Parked(event) => Err(format!("waits until {}", text(&event["parked"]["deadline"]))),
        Answer::Result(result) if result["status"] == "accepted" => {
            Ok(format!("{}, version {}", text(&result["effect"]), result["config_version"]))
        }
        Answer::Result(result) => {
            let rejection = &result["rejection"];
            let mut why = format!("rejected, {}: {}", text(&rejection["code"]), text(&rejection["message"]));
            for bad in rejection["fields"].as_array().into_iter().flatten() {
                why.push_str(&format!(" {} {}.", text(&bad["field"]), text(&bad["problem"])));
            }
            if rejection["code"] == "version_conflict" {
                why.push_str(
                    " Somebody else has changed it meanwhile: run this again to see the difference to what it is now.",
                );
            }
            Err(why)
        }
    }
}
