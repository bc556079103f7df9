//! Postgres as a test sees it: plain questions, answered at once.

use std::collections::BTreeMap;

use tokio::runtime::Runtime;
use tokio_postgres::types::{FromSqlOwned, ToSql};
use tokio_postgres::{Client, NoTls, Row};

pub struct Database {
    runtime: Runtime,
    client: Client,
}

impl Database {
    pub fn open(url: &str) -> Database {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let (client, connection) = runtime
            .block_on(tokio_postgres::connect(url, NoTls))
            .unwrap_or_else(|error| panic!("Postgres does not answer at {url}: {error}"));
        runtime.spawn(connection);
        Database { runtime, client }
    }

    pub fn execute(&self, statement: &str) {
        let done = self.runtime.block_on(self.client.batch_execute(statement));
        done.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }

    /// What Postgres says to a statement that it must refuse.
    pub fn refusal(&self, statement: &str) -> String {
        let error = self.runtime.block_on(self.client.batch_execute(statement)).expect_err(statement);
        error.as_db_error().map_or_else(|| error.to_string(), |refused| refused.message().to_owned())
    }

    /// How many rows it changed.
    pub fn change(&self, statement: &str, parameters: &[&(dyn ToSql + Sync)]) -> u64 {
        let done = self.runtime.block_on(self.client.execute(statement, parameters));
        done.unwrap_or_else(|error| panic!("{statement}: {error:?}"))
    }

    pub fn rows(&self, query: &str) -> Vec<Row> {
        let rows = self.runtime.block_on(self.client.query(query, &[]));
        rows.unwrap_or_else(|error| panic!("{query}: {error:?}"))
    }

    /// The one value of the one row.
    pub fn one<T: FromSqlOwned>(&self, query: &str) -> T {
        let rows = self.rows(query);
        assert_eq!(rows.len(), 1, "{query}");
        rows[0].get(0)
    }

    /// What can be spent, by merchant and unit; and how many customers there are, by merchant.
    pub fn balances(&self) -> BTreeMap<(String, String), i64> {
        let rows = self.rows(
            "select merchant_id, unit_id, sum(available)::bigint from account group by 1, 2 having sum(available) <> 0",
        );
        rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect()
    }

    pub fn customers(&self) -> BTreeMap<String, u64> {
        let rows = self.rows("select merchant_id, count(*) from customer group by 1");
        rows.iter().map(|row| (row.get(0), row.get::<_, i64>(1).unsigned_abs())).collect()
    }

    /// Every table that a recovery must bring back, with a sum over its rows that does not depend on their order. Left out are the outbox,
    /// which holds only what is under way, the skips, which the journal keeps, the replays, which are an operator's memory, and of the lanes the epoch, which counts their owners.
    pub fn digests(&self) -> BTreeMap<String, String> {
        let tables = self.rows(
            "select table_name::text from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'",
        );
        let tables = tables.iter().map(|row| row.get::<_, String>(0));
        let digest = |table: &str| {
            let rows = match table {
                "lane" => {
                    "(select lane, lanes, cluster_id, consumer_group, batch, lane_time, due_pending, topic_prefix, topic_ids, positions from lane)"
                }
                table => table,
            };
            self.one::<String>(&format!(
                "select count(*) || ' rows, ' || coalesce(sum(hashtextextended(r::text, 0)::numeric), 0) from {rows} as r"
            ))
        };
        tables
            .filter(|table| {
                !["outbox", "skipped_record", "replayed_record"].contains(&table.as_str())
                    && !table.contains("migration")
            })
            .map(|table| {
                let digest = digest(&table);
                (table, digest)
            })
            .collect()
    }
}
