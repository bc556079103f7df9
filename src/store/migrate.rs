//! The schema's history. Every migration runs once, in order, in a transaction of its own; what was released never changes.

use std::collections::HashMap;
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use super::{StoreError, StoreErrorKind};

/// Name and statements, in order.
const MIGRATIONS: [(&str, &str); 1] = [("0001_loyalty", include_str!("../../migrations/0001_loyalty.sql"))];

/// Any number; the same for every version of the worker.
const ADVISORY_LOCK: i64 = 0x6c6f_7961_6c74_7900;

const SCHEMA_MIGRATION: &str = "
    create table if not exists schema_migration (
        name       text        primary key,
        checksum   text        not null,  -- SHA-256 of the statements
        applied_at timestamptz not null default now()
    )";

/// A migration asks for its tables for so long, so often, with a pause between: whoever asks behind it, and that is every lane, waits too.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '3s'";
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_secs(2);

async fn apply(client: &mut ClientWrapper, name: &str, statements: &str) -> Result<(), StoreError> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOCK_TIMEOUT).await?;
    transaction.batch_execute(statements).await?;
    let insert = "insert into schema_migration (name, checksum) values ($1, $2)";
    transaction.execute(insert, &[&name, &checksum(statements)]).await?;
    transaction.commit().await?;
    Ok(())
}

/// Applies what is missing. The connection is the caller's to close: it holds a lock for as long as its session lives, so that two that
/// migrate at once do it one after the other.
pub(super) async fn migrate(client: &mut ClientWrapper) -> Result<Vec<String>, StoreError> {
    client.execute("select pg_advisory_lock($1)", &[&ADVISORY_LOCK]).await?;
    client.batch_execute(SCHEMA_MIGRATION).await?;
    let mut names = Vec::new();
    for (name, statements) in pending(client).await? {
        let mut refusals = 0;
        while let Err(error) = apply(client, name, statements).await {
            refusals += 1;
            if !error.is_busy() || refusals == LOCK_ATTEMPTS {
                return Err(error);
            }
            tracing::info!(name, "the migration waits for its tables: somebody is at work on them");
            tokio::time::sleep(LOCK_PAUSE).await;
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// What is not applied yet. Migrations that only a later version knows are no obstacle: they leave this one's statements working.
pub(super) async fn pending(client: &Client) -> Result<Vec<(&'static str, &'static str)>, StoreError> {
    let exists: bool = client.query_one("select to_regclass('schema_migration') is not null", &[]).await?.try_get(0)?;
    let mut applied: HashMap<String, String> = HashMap::new();
    if exists {
        for row in client.query("select name, checksum from schema_migration", &[]).await? {
            applied.insert(row.try_get(0)?, row.try_get(1)?);
        }
    }
    if applied.contains_key("0001_spine") {
        let message = "this database was made by a version before the first release: take a new one, and `recover` if it is to be filled";
        return Err(StoreError::new(StoreErrorKind::Fatal, message.to_owned()));
    }
    let mut pending = Vec::new();
    for (name, statements) in MIGRATIONS {
        match applied.get(name) {
            None => pending.push((name, statements)),
            Some(known) if *known == checksum(statements) => {}
            Some(_) => {
                let message = format!(
                    "migration {name} is not what it was when it was applied to this database: use the binary that it belongs to, \
                     and write changes as new migrations"
                );
                return Err(StoreError::new(StoreErrorKind::Fatal, message));
            }
        }
    }
    Ok(pending)
}

fn checksum(statements: &str) -> String {
    Sha256::digest(statements).iter().map(|byte| format!("{byte:02x}")).collect()
}
