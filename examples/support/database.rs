//! Looking into Postgres from outside, without the worker's code.

use std::collections::BTreeMap;

use tokio_postgres::{Client, NoTls};

use super::Failure;

/// A connection that calls block on.
pub struct Database {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

/// Makes a database. One that exists is refused: it would bring its own customers into the count. The template's files are copied,
/// which for a large one is faster than through the log.
pub fn create(server_url: &str, name: &str, template: &str) -> Result<(), Failure> {
    let server = Database::connect(server_url)?;
    let mut attempts = 0;
    loop {
        let made = server.execute(&format!("create database \"{name}\" template \"{template}\" strategy file_copy"));
        attempts += 1;
        match made {
            // Who has just left the template may still be on the way out.
            Err(error) if attempts < 50 && error.to_string().contains("being accessed") => {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            made => return made,
        }
    }
}

impl Database {
    pub fn connect(url: &str) -> Result<Database, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (client, connection) = runtime
            .block_on(tokio_postgres::connect(url, NoTls))
            .map_err(|error| format!("Postgres does not answer: {}", with_cause(&error)))?;
        runtime.spawn(connection);
        Ok(Database { runtime, client })
    }

    pub fn execute(&self, sql: &str) -> Result<(), Failure> {
        self.runtime.block_on(self.client.batch_execute(sql)).map_err(|error| with_cause(&error).into())
    }

    /// Rows of text.
    pub fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>, Failure> {
        let messages = self.runtime.block_on(self.client.simple_query(sql)).map_err(|error| with_cause(&error))?;
        let mut rows = Vec::new();
        for message in messages {
            if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                rows.push((0..row.len()).map(|column| row.get(column).unwrap_or("").to_owned()).collect());
            }
        }
        Ok(rows)
    }

    /// Of every table, how many rows it has and a digest of them that does not depend on their order. What belongs to the owner and
    /// not to the lane (its epoch and who has it), to publication (the outbox), and to the schema's history is left out.
    pub fn digests(&self) -> Result<BTreeMap<String, String>, Failure> {
        let tables = self.rows(
            "select table_name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE' \
             and table_name not in ('outbox', 'skipped_record', 'replayed_record') and table_name not like '%migration%' order by 1",
        )?;
        let mut digests = BTreeMap::new();
        for table in tables.into_iter().flatten() {
            let row = if table == "lane" { "(to_jsonb(t) - 'epoch' - 'owner')::text" } else { "t::text" };
            let digest = self.rows(&format!(
                "select count(*) || ' rows, digest ' || coalesce(sum(hashtextextended({row}, 0)::numeric), 0) from \"{table}\" t"
            ))?;
            digests.insert(table, digest.into_iter().flatten().next().unwrap_or_default());
        }
        Ok(digests)
    }
}

fn with_cause(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("Postgres: {}", error.message()),
        None => error.to_string(),
    }
}
